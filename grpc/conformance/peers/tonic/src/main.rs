//! tonic as a peer (../README.md).

mod client;
mod server;

use std::collections::HashMap;

mod echo {
    include!(concat!(env!("OUT_DIR"), "/grpc.test.v1.Echo.rs"));
}

/// grpc.test.v1.EchoMessage.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EchoMessage {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(bytes = "vec", tag = "2")]
    pub payload: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub count: i32,
}

impl EchoMessage {
    fn text(text: &str) -> Self {
        Self {
            text: text.into(),
            ..Default::default()
        }
    }

    fn count(count: i32) -> Self {
        Self {
            count,
            ..Default::default()
        }
    }

    fn payload(payload: Vec<u8>) -> Self {
        Self {
            payload,
            ..Default::default()
        }
    }
}

/// The `name=value` arguments.
type Options = HashMap<String, String>;

fn read(options: &Options, name: &str) -> Option<Vec<u8>> {
    options
        .get(name)
        .map(|path| std::fs::read(path).expect("a readable file"))
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().expect("a mode");
    let options = args
        .filter_map(|pair| {
            pair.split_once('=')
                .map(|(name, value)| (name.into(), value.into()))
        })
        .collect();
    match mode.as_str() {
        "server" => server::serve(options).await,
        _ => client::run_cases(options).await,
    }
}
