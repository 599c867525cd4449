//! Generates the service from the same proto every peer uses; needs `protoc`.

fn main() -> std::io::Result<()> {
    let gen_dir = std::env::var("ECHO_PROTO_DIR").expect("ECHO_PROTO_DIR names the folder of echo.proto");
    println!("cargo:rerun-if-changed={gen_dir}/echo.proto");
    tonic_prost_build::configure()
        .build_client(false)
        .compile_protos(&[format!("{gen_dir}/echo.proto")], &[gen_dir])
}
