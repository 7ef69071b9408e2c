//! Rings and events that no kernel makes.
