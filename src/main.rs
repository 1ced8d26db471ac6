//! The `crudctl` command.

fn main() -> std::process::ExitCode {
    crudctl::cli::main()
}
