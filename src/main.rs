//! The `tintype` binary: hands its arguments to the library and exits with what it answers.

fn main() -> std::process::ExitCode {
    tintype::cli::run()
}
