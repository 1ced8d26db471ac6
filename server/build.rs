//! A new file in resources/ is compiled in, too.

fn main() {
    println!("cargo::rerun-if-changed=resources");
}
