//! The server.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding;
use tonic::metadata::{KeyAndValueRef, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::echo::echo_server::{Echo, EchoServer};
use crate::{EchoMessage, Options, read};

#[derive(Default)]
struct State {
    cancelled: AtomicI32,
    sent: AtomicI32,
    stop: Notify,
}

#[derive(Clone, Default)]
struct Service(Arc<State>);

/// Counts when it is dropped: tonic drops what belongs to a call that is over.
struct CountOver(Arc<State>);

impl Drop for CountOver {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, SeqCst);
    }
}

type Responses = Pin<Box<dyn Stream<Item = Result<EchoMessage, Status>> + Send>>;

fn custom(metadata: &MetadataMap) -> MetadataMap {
    let mut kept = MetadataMap::new();
    for pair in metadata.iter() {
        match pair {
            KeyAndValueRef::Ascii(key, value) if key.as_str().starts_with("x-") => {
                kept.append(key, value.clone());
            }
            KeyAndValueRef::Binary(key, value) if key.as_str().starts_with("x-") => {
                kept.append_bin(key, value.clone());
            }
            _ => {}
        }
    }
    kept
}

fn refusal() -> Status {
    let mut trailers = MetadataMap::new();
    trailers.insert("x-reason", "because".parse().unwrap());
    trailers.insert_bin("x-raw-bin", MetadataValue::from_bytes(&[0, 255]));
    Status::with_metadata(tonic::Code::FailedPrecondition, "not täday 100%", trailers)
}

/// The milliseconds of `grpc-timeout`.
fn timeout_ms(metadata: &MetadataMap) -> Option<i32> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at(text.len() - 1);
    let value: i64 = digits.parse().ok()?;
    let ms = match unit {
        "H" => value * 3_600_000,
        "M" => value * 60_000,
        "S" => value * 1000,
        "m" => value,
        "u" => value / 1000,
        _ => value / 1_000_000,
    };
    i32::try_from(ms).ok()
}

/// A stream that keeps something alive until it is dropped.
struct Keeping<S, K> {
    inner: S,
    _kept: K,
}

impl<S: Stream + Unpin, K: Unpin> Stream for Keeping<S, K> {
    type Item = S::Item;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        Pin::new(&mut self.inner).poll_next(context)
    }
}

#[tonic::async_trait]
impl Echo for Service {
    type ExpandStream = Responses;
    type ConverseStream = Responses;

    async fn unary(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        let state = &self.0;
        let (metadata, _, message) = request.into_parts();
        Ok(Response::new(match message.text.as_str() {
            "length" => EchoMessage::count(message.payload.len() as i32),
            "size" => EchoMessage::payload(vec![0; message.count as usize]),
            "refuse" => return Err(refusal()),
            // tonic has no trailers beside OK: the headers alone are echoed.
            "metadata" => {
                let mut response = Response::new(message);
                *response.metadata_mut() = custom(&metadata);
                return Ok(response);
            }
            "deadline" => EchoMessage::count(timeout_ms(&metadata).unwrap_or(0)),
            "hang" => {
                let _count = CountOver(state.clone());
                std::future::pending::<()>().await;
                message
            }
            "cancelled" => EchoMessage::count(state.cancelled.load(SeqCst)),
            "sent" => EchoMessage::count(state.sent.load(SeqCst)),
            "drain" => {
                let state = state.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    state.stop.notify_one();
                });
                message
            }
            "die" => {
                tokio::spawn(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    std::process::exit(1);
                });
                message
            }
            _ => message,
        }))
    }

    async fn expand(
        &self,
        request: Request<EchoMessage>,
    ) -> Result<Response<Self::ExpandStream>, Status> {
        let state = self.0.clone();
        let EchoMessage {
            text,
            payload,
            count,
        } = request.into_inner();
        let (sender, receiver) = mpsc::channel(1);
        let responses = ReceiverStream::new(receiver);
        if text == "hang" {
            sender.send(Ok(EchoMessage::default())).await.ok();
            let kept = (sender, CountOver(state));
            return Ok(Response::new(Box::pin(Keeping {
                inner: responses,
                _kept: kept,
            })));
        }
        tokio::spawn(async move {
            let forever = text == "forever";
            let mut index = 0;
            while forever || index < count {
                let message = EchoMessage {
                    payload: payload.clone(),
                    count: index,
                    ..Default::default()
                };
                if sender.send(Ok(message)).await.is_err() {
                    return;
                }
                if forever {
                    state.sent.fetch_add(1, SeqCst);
                } else {
                    index += 1;
                }
            }
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn collect(
        &self,
        request: Request<Streaming<EchoMessage>>,
    ) -> Result<Response<EchoMessage>, Status> {
        let mut requests = request.into_inner();
        let mut count = 0;
        while let Some(message) = requests.next().await {
            count += 1;
            if message?.text == "pause" {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(Response::new(EchoMessage::count(count)))
    }

    async fn converse(
        &self,
        request: Request<Streaming<EchoMessage>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        // tonic sends the headers as soon as it has the stream of responses.
        let responses = request.into_inner().map(|message| {
            let message = message?;
            if message.text == "abort" {
                Err(Status::aborted("enough"))
            } else {
                Ok(message)
            }
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn absent(&self, _: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Err(Status::unimplemented("absent"))
    }
}

pub async fn serve(options: Options) {
    let service = Service::default();
    let state = service.0.clone();
    let mut server = Server::builder();
    if let (Some(cert), Some(key)) = (read(&options, "cert"), read(&options, "key")) {
        let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
        if let Some(ca) = read(&options, "client_ca") {
            tls = tls.client_ca_root(Certificate::from_pem(ca));
        }
        server = server.tls_config(tls).expect("sound TLS options");
    }
    let mut echo = EchoServer::new(service).accept_compressed(CompressionEncoding::Gzip);
    if options.contains_key("gzip") {
        echo = echo.send_compressed(CompressionEncoding::Gzip);
    }
    let router = server.add_service(echo);
    let input_ended = async {
        let mut input = Vec::new();
        tokio::io::stdin().read_to_end(&mut input).await.ok();
    };
    let stop = async move {
        tokio::select! {
            () = state.stop.notified() => {}
            () = input_ended => {}
        }
    };
    let served = if let Some(path) = options.get("unix") {
        let listener = UnixListener::bind(path).expect("a free path");
        println!("{path}");
        router
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop)
            .await
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("an address"));
        router
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
            .await
    };
    served.expect("a server that ends well");
    // A thread still reads the input.
    std::process::exit(0);
}
