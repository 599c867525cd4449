//! Echo on tonic. `bench-tonic current_thread|default [CERT KEY]`: which tokio runtime, and a
//! second listener with TLS. Says where it listens on standard error, as every peer does.

use std::pin::Pin;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

mod echo {
    tonic::include_proto!("grpc.bench.v1");
}
use echo::EchoMessage;
use echo::echo_server::{Echo, EchoServer};

type Messages = Pin<Box<dyn Stream<Item = Result<EchoMessage, Status>> + Send>>;

struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn unary(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type ExpandStream = Messages;

    async fn expand(&self, request: Request<EchoMessage>) -> Result<Response<Messages>, Status> {
        let EchoMessage { payload, count, .. } = request.into_inner();
        let messages = (0..count).map(move |index| {
            Ok(EchoMessage { text: String::new(), payload: payload.clone(), count: index })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    async fn collect(
        &self,
        request: Request<Streaming<EchoMessage>>,
    ) -> Result<Response<EchoMessage>, Status> {
        let mut requests = request.into_inner();
        let mut answer = EchoMessage::default();
        while let Some(message) = requests.next().await {
            answer.text.push_str(&message?.text);
            answer.count += 1;
        }
        Ok(Response::new(answer))
    }

    type ConverseStream = Messages;

    async fn converse(
        &self,
        request: Request<Streaming<EchoMessage>>,
    ) -> Result<Response<Messages>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

async fn serve(tls: Option<Identity>) -> Result<(), Box<dyn std::error::Error>> {
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = plain.local_addr()?;
    let service = || EchoServer::new(Service);
    let plain = Server::builder()
        .add_service(service())
        .serve_with_incoming(nodelay(plain));
    let Some(identity) = tls else {
        eprintln!("listening {address}");
        return Ok(plain.await?);
    };
    let secure = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening {address} tls {}", secure.local_addr()?);
    let secure = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(service())
        .serve_with_incoming(nodelay(secure));
    tokio::try_join!(plain, secure)?;
    Ok(())
}

/// What `serve` without an own listener does by default.
fn nodelay(
    listener: tokio::net::TcpListener,
) -> impl Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut builder = match arguments.get(1).map(String::as_str) {
        Some("current_thread") => tokio::runtime::Builder::new_current_thread(),
        Some("default") => tokio::runtime::Builder::new_multi_thread(),
        _ => return Err("usage: bench-tonic current_thread|default [CERT KEY]".into()),
    };
    let tls = match (arguments.get(2), arguments.get(3)) {
        (Some(cert), Some(key)) => {
            Some(Identity::from_pem(std::fs::read(cert)?, std::fs::read(key)?))
        }
        _ => None,
    };
    builder.enable_all().build()?.block_on(serve(tls))
}
