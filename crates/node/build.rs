//! Sets up what the linker needs for a Node-API addon.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // Node closes the addon when the last thread that loaded it ends. It must stay: our handler
        // of SIGBUS points into it (`docs/adr/0005`). napi-build says so too, for reasons of its
        // own that may go.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
