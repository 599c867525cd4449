//! Generates client and server of the echo service without protoc.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn method(name: &str, route: &str) -> MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type("crate::EchoMessage")
        .output_type("crate::EchoMessage")
        .codec_path("tonic_prost::ProstCodec")
}

fn main() {
    let echo = Service::builder()
        .name("Echo")
        .package("grpc.test.v1")
        .method(method("unary", "Unary").build())
        .method(method("expand", "Expand").server_streaming().build())
        .method(method("collect", "Collect").client_streaming().build())
        .method(
            method("converse", "Converse")
                .client_streaming()
                .server_streaming()
                .build(),
        )
        .method(method("absent", "Absent").build())
        .build();
    Builder::new().compile(&[echo]);
}
