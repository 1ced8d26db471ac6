//! The `crudctl` command.

/// Playbooks are many small values: with this allocator a static check takes two thirds of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    crudctl::cli::main()
}
