//! The guide: how to use this crate, page by page. The same pages are in the folder
//! `docs/` of the repository.
//!
//! | purpose | pages |
//! |---|---|
//! | to begin | [`start`], [`asynchronous`], [`layers`], and [`migrating`] from another interface |
//! | to look up | [`errors`], the [`manual`] pages, [`numbers`] of system calls |
//! | to run a program | [`admin`], [`sandboxes`], [`packaging`], [`static_binaries`], and the [`tool`] |
//! | to judge the crate | [`proof`], [`performance`] |
//! | to change it | [`porting`] to an architecture |

// Each module is one page, whose text is its documentation. The links of a page have
// their definitions at its end (`[layers]: layers.md`), where a viewer of the repository
// finds them. Here, definitions of the same labels precede the page. In CommonMark the
// first definition of a label counts: so the links lead to modules and items here.
// `tests/guide.rs` checks that each link has both definitions, and the steps
// `documentation` and `package` of `tests/run` that they lead somewhere.

/// Defines the module of each page. `"layers" layers;` is `docs/layers.md` as the module
/// `layers`, with the label `layers` for links. A file with further definitions may follow.
///
/// The code in the pages uses the feature `std`, and is tested with it.
macro_rules! pages {
    ($($page:literal $module:ident $(+ $links:literal)?;)+) => {
        /// The definitions of the links between pages.
        macro_rules! pages_links {
            () => {
                concat!($("[", $page, "]: crate::guide::", stringify!($module), "\n",)+)
            };
        }
        $(
            #[doc = pages_links!()]
            #[doc = include_str!("guide/links.md")]
            $(#[doc = include_str!($links)])?
            #[cfg_attr(
                any(not(doctest), feature = "std"),
                doc = include_str!(concat!("../docs/", $page, ".md"))
            )]
            pub mod $module {}
        )+
    };
}

pages! {
    "admin" admin;
    "asynchronous" asynchronous;
    "errors" errors;
    "layers" layers;
    "manual" manual;
    "migrating" migrating;
    "numbers" numbers;
    "packaging" packaging;
    "performance" performance + "guide/charts.md";
    "porting" porting;
    "proof" proof;
    "sandboxes" sandboxes;
    "start" start;
    "static" static_binaries;
    "tool" tool;
}
