fn main() {
    linux_aio_build::link_static();
}
