//! The client.

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};

use crate::echo::echo_client::EchoClient;
use crate::{EchoMessage, Options, read};

const CAP: usize = 4 << 20;
const AHEAD_MAX: usize = 16 << 20;
const UPLOADS: usize = 10_000;

type Client = EchoClient<Channel>;
/// Why a case failed.
type Outcome = Result<(), String>;

fn chunk() -> Vec<u8> {
    vec![7; 4096]
}

fn said(error: impl Display) -> String {
    error.to_string()
}

fn expect<T: PartialEq + Debug>(actual: T, wanted: T) -> Outcome {
    if actual == wanted {
        return Ok(());
    }
    Err(format!("{actual:.200?}, wanted {wanted:.200?}"))
}

fn fails_with<T>(code: Code, outcome: Result<T, Status>) -> Result<Status, String> {
    match outcome {
        Ok(_) => Err("the call went well".into()),
        Err(status) if status.code() == code => Ok(status),
        Err(status) => Err(format!("{status:?}, wanted {code:?}")),
    }
}

fn endpoint(options: &Options) -> Endpoint {
    let target = options["target"].as_str();
    if target.starts_with('/') {
        return Endpoint::from_shared(format!("unix:{target}")).expect("a sound path");
    }
    let Some(ca) = read(options, "ca") else {
        return Endpoint::from_shared(format!("http://{target}")).expect("a sound address");
    };
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca))
        .domain_name("localhost");
    if let (Some(cert), Some(key)) = (read(options, "cert"), read(options, "key")) {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    Endpoint::from_shared(format!("https://{target}"))
        .and_then(|endpoint| endpoint.tls_config(tls))
        .expect("sound TLS options")
}

/// A client that connects with its first call.
fn lazy(options: &Options) -> Client {
    let client = EchoClient::new(endpoint(options).connect_lazy());
    if options.contains_key("gzip") {
        let client = client.accept_compressed(CompressionEncoding::Gzip);
        return client.send_compressed(CompressionEncoding::Gzip);
    }
    client
}

async fn ask(client: &mut Client, request: EchoMessage) -> Result<EchoMessage, String> {
    let answer = client.unary(request).await.map_err(said)?;
    Ok(answer.into_inner())
}

/// A conversation, and the way to send into it.
async fn converse(
    client: &mut Client,
) -> Result<(mpsc::Sender<EchoMessage>, Streaming<EchoMessage>), String> {
    let (sender, receiver) = mpsc::channel(16);
    // tonic gives the stream out when it has the headers, which come with the first answer.
    sender
        .send(EchoMessage::text("first"))
        .await
        .map_err(said)?;
    let response = client
        .converse(ReceiverStream::new(receiver))
        .await
        .map_err(said)?;
    let mut responses = response.into_inner();
    expect(next(&mut responses).await?.text, "first".into())?;
    Ok((sender, responses))
}

async fn next(responses: &mut Streaming<EchoMessage>) -> Result<EchoMessage, String> {
    responses
        .message()
        .await
        .map_err(said)?
        .ok_or_else(|| "the stream ended".into())
}

async fn exchange(
    sender: &mpsc::Sender<EchoMessage>,
    responses: &mut Streaming<EchoMessage>,
    count: i32,
) -> Outcome {
    sender.send(EchoMessage::count(count)).await.map_err(said)?;
    expect(next(responses).await?.count, count)
}

async fn four_kinds(client: &mut Client) -> Outcome {
    let payload: Vec<u8> = (0..50_000_u32)
        .map(|index| (index * 31 >> 3) as u8)
        .collect();
    let request = EchoMessage {
        text: "héllo".into(),
        payload,
        count: -1,
    };
    expect(ask(client, request.clone()).await?, request)?;
    let request = EchoMessage {
        payload: chunk(),
        count: 500,
        ..Default::default()
    };
    let mut responses = client.expand(request).await.map_err(said)?.into_inner();
    for count in 0..500 {
        let wanted = EchoMessage {
            payload: chunk(),
            count,
            ..Default::default()
        };
        expect(next(&mut responses).await?, wanted)?;
    }
    expect(responses.message().await.map_err(said)?, None)?;
    let requests = tokio_stream::iter((0..200).map(EchoMessage::count));
    expect(
        client
            .collect(requests)
            .await
            .map_err(said)?
            .into_inner()
            .count,
        200,
    )?;
    let (sender, mut responses) = converse(client).await?;
    for count in 1..=200 {
        exchange(&sender, &mut responses, count).await?;
    }
    drop(sender);
    expect(responses.message().await.map_err(said)?, None)
}

async fn refused_with_metadata(client: &mut Client) -> Outcome {
    let outcome = client.unary(EchoMessage::text("refuse")).await;
    let status = fails_with(Code::FailedPrecondition, outcome)?;
    expect(status.message(), "not täday 100%")?;
    expect(
        status
            .metadata()
            .get("x-reason")
            .map(|value| value.as_bytes()),
        Some(b"because"),
    )?;
    let raw = status
        .metadata()
        .get_bin("x-raw-bin")
        .and_then(|value| value.to_bytes().ok());
    expect(raw.as_deref(), Some(&[0, 255][..]))
}

async fn metadata(client: &mut Client) -> Outcome {
    let raw: Vec<u8> = (0..=255).collect();
    let mut request = Request::new(EchoMessage::text("metadata"));
    let sent = request.metadata_mut();
    sent.insert("x-long", "v".repeat(6000).parse().unwrap());
    sent.append("x-many", "one".parse().unwrap());
    sent.append("x-many", "two".parse().unwrap());
    sent.insert_bin("x-raw-bin", MetadataValue::from_bytes(&raw));
    sent.append_bin("x-many-bin", MetadataValue::from_bytes(&[0]));
    sent.append_bin("x-many-bin", MetadataValue::from_bytes(&[1, 255]));
    let sent = sent.clone();
    // Of a unary call, tonic puts the trailers in the place of the headers.
    let response = client.unary(request).await.map_err(said)?;
    let seen = response.metadata();
    for key in ["x-long", "x-many"] {
        let values = |metadata: &MetadataMap| {
            let all = metadata.get_all(key);
            all.iter()
                .map(|value| value.as_bytes().to_vec())
                .collect::<Vec<_>>()
        };
        expect(values(seen), values(&sent))?;
    }
    for key in ["x-raw-bin", "x-many-bin"] {
        let values = |metadata: &MetadataMap| {
            let all = metadata.get_all_bin(key);
            all.iter()
                .filter_map(|value| value.to_bytes().ok())
                .collect::<Vec<_>>()
        };
        expect(values(seen), values(&sent))?;
    }
    Ok(())
}

async fn metadata_over_limit(client: &mut Client) -> Outcome {
    let mut request = Request::new(EchoMessage::default());
    for (key, letter) in [
        ("x-a", "a"),
        ("x-b", "b"),
        ("x-c", "c"),
        ("x-d", "d"),
        ("x-e", "e"),
    ] {
        request
            .metadata_mut()
            .insert(key, letter.repeat(4096).parse().unwrap());
    }
    if client.unary(request).await.is_ok() {
        return Err("the call went well".into());
    }
    still_answers(client).await
}

async fn headers_first(client: &mut Client) -> Outcome {
    let (sender, receiver) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request
        .metadata_mut()
        .insert("x-early", "yes".parse().unwrap());
    // tonic gives the responses out when it has the headers.
    let mut responses = client.converse(request).await.map_err(said)?.into_inner();
    sender.send(EchoMessage::text("late")).await.map_err(said)?;
    drop(sender);
    expect(next(&mut responses).await?.text, "late".into())?;
    expect(responses.message().await.map_err(said)?, None)
}

async fn many_cancels(client: &mut Client) -> Outcome {
    let before = cancelled_count(client).await?;
    for _ in 0..400 {
        let request = EchoMessage::text("hang");
        next(&mut client.expand(request).await.map_err(said)?.into_inner()).await?;
    }
    still_answers(client).await?;
    until_cancelled(client, before + 399).await
}

async fn flood(client: &mut Client) -> Outcome {
    let message = |count| EchoMessage {
        payload: vec![3; 65_000],
        count,
        ..Default::default()
    };
    let requests = tokio_stream::iter((0..500).map(message));
    let mut responses = client.converse(requests).await.map_err(said)?.into_inner();
    for count in 0..500 {
        let response = next(&mut responses).await?;
        expect((response.count, response.payload.len()), (count, 65_000))?;
    }
    expect(responses.message().await.map_err(said)?, None)
}

async fn gzip(client: &mut Client) -> Outcome {
    for _ in 0..5 {
        let request = EchoMessage::payload(vec![0; 1_000_000]);
        expect(ask(client, request).await?.payload.len(), 1_000_000)?;
    }
    Ok(())
}

async fn killed_while_streaming(client: &mut Client) -> Outcome {
    let (_sender, mut responses) = converse(client).await?;
    ask(client, EchoMessage::text("die")).await?;
    // tonic calls a connection that breaks under a stream unknown.
    match responses.message().await {
        Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown) => Ok(()),
        other => Err(format!("{other:?}, wanted an error of the connection")),
    }
}

async fn aborted_by_server(client: &mut Client) -> Outcome {
    let (sender, mut responses) = converse(client).await?;
    sender
        .send(EchoMessage::text("abort"))
        .await
        .map_err(said)?;
    expect(
        fails_with(Code::Aborted, responses.message().await)?.message(),
        "enough",
    )
}

async fn cancelled_count(client: &mut Client) -> Result<i32, String> {
    Ok(ask(client, EchoMessage::text("cancelled")).await?.count)
}

async fn until_cancelled(client: &mut Client, before: i32) -> Outcome {
    let until = Instant::now() + Duration::from_secs(10);
    while cancelled_count(client).await? <= before {
        if Instant::now() > until {
            return Err("the server's handler never heard of it".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn cancelled_by_client(client: &mut Client) -> Outcome {
    let before = cancelled_count(client).await?;
    let request = EchoMessage::text("hang");
    let mut responses = client.expand(request).await.map_err(said)?.into_inner();
    next(&mut responses).await?;
    // tonic's way to cancel.
    drop(responses);
    until_cancelled(client, before).await
}

fn within(message: EchoMessage, wait: Duration) -> Request<EchoMessage> {
    let mut request = Request::new(message);
    request.set_timeout(wait);
    request
}

async fn deadline(client: &mut Client) -> Outcome {
    let before = cancelled_count(client).await?;
    let request = within(EchoMessage::text("hang"), Duration::from_millis(200));
    let outcome = client.unary(request).await;
    // tonic calls a deadline that passes on its own side a cancel; the server's word may be first.
    let code = outcome.err().map(|status| status.code());
    if !matches!(code, Some(Code::Cancelled | Code::DeadlineExceeded)) {
        return Err(format!("{code:?}, wanted a deadline"));
    }
    until_cancelled(client, before).await
}

async fn deadline_is_told(client: &mut Client) -> Outcome {
    let request = within(EchoMessage::text("deadline"), Duration::from_secs(30));
    let count = client
        .unary(request)
        .await
        .map_err(said)?
        .into_inner()
        .count;
    if count > 20_000 && count <= 31_000 {
        return Ok(());
    }
    Err(format!("{count} ms left"))
}

async fn request_of(client: &mut Client, message_bytes: usize) -> Result<i32, Status> {
    let payload = vec![0; message_bytes - 13];
    let request = EchoMessage {
        text: "length".into(),
        payload,
        count: 0,
    };
    Ok(client.unary(request).await?.into_inner().count)
}

async fn response_of(client: &mut Client, message_bytes: usize) -> Result<usize, Status> {
    let count = (message_bytes - 5) as i32;
    let request = EchoMessage {
        text: "size".into(),
        payload: Vec::new(),
        count,
    };
    Ok(client.unary(request).await?.into_inner().payload.len())
}

async fn still_answers(client: &mut Client) -> Outcome {
    expect(ask(client, EchoMessage::count(1)).await?.count, 1)
}

async fn reconnects(options: &Options) -> Outcome {
    for count in 1..=200 {
        let channel = endpoint(options).connect().await.map_err(said)?;
        let mut client = EchoClient::new(channel);
        expect(
            ask(&mut client, EchoMessage::count(count)).await?.count,
            count,
        )?;
    }
    Ok(())
}

async fn parallel(client: &mut Client) -> Outcome {
    let calls: Vec<_> = (0..500)
        .map(|count| {
            let mut client = client.clone();
            tokio::spawn(async move { ask(&mut client, EchoMessage::count(count)).await })
        })
        .collect();
    for (count, call) in (0..500).zip(calls) {
        expect(call.await.map_err(said)??.count, count)?;
    }
    Ok(())
}

async fn paused_reader(client: &mut Client) -> Outcome {
    let before = ask(client, EchoMessage::text("sent")).await?.count;
    let request = EchoMessage {
        text: "forever".into(),
        payload: chunk(),
        count: 0,
    };
    let mut responses = client.expand(request).await.map_err(said)?.into_inner();
    next(&mut responses).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sent = ask(client, EchoMessage::text("sent")).await?.count - before;
    if sent as usize * chunk().len() > AHEAD_MAX {
        return Err(format!("{sent} messages sent to a paused reader"));
    }
    for _ in 0..5000 {
        next(&mut responses).await?;
    }
    Ok(())
}

fn uploads(sent: Arc<AtomicUsize>) -> impl Stream<Item = EchoMessage> + Send + 'static {
    let chunks = tokio_stream::iter(0..UPLOADS).map(move |_| {
        sent.fetch_add(1, SeqCst);
        EchoMessage::payload(chunk())
    });
    tokio_stream::once(EchoMessage::text("pause")).chain(chunks)
}

async fn paused_upload(client: &mut Client) -> Outcome {
    let sent = Arc::new(AtomicUsize::new(0));
    let requests = uploads(sent.clone());
    let mut own = client.clone();
    let call = tokio::spawn(async move { own.collect(requests).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ahead = sent.load(SeqCst) * chunk().len();
    if ahead > AHEAD_MAX {
        return Err(format!("{ahead} bytes sent to a paused reader"));
    }
    let response = call.await.map_err(said)?.map_err(said)?;
    expect(response.into_inner().count, UPLOADS as i32 + 1)
}

async fn drained_while_streaming(client: &mut Client) -> Outcome {
    let (sender, mut responses) = converse(client).await?;
    ask(client, EchoMessage::text("drain")).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for count in 2..=20 {
        exchange(&sender, &mut responses, count).await?;
    }
    drop(sender);
    expect(responses.message().await.map_err(said)?, None)?;
    // A call that meets its connection in the moment of closing is tonic's own `Cancelled`.
    let mut outcome = client.unary(EchoMessage::default()).await;
    for _ in 0..20 {
        if outcome.as_ref().is_err_and(|status| status.code() == Code::Cancelled) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            outcome = client.unary(EchoMessage::default()).await;
        }
    }
    fails_with(Code::Unavailable, outcome)?;
    Ok(())
}

async fn run(name: &str, options: &Options) -> Outcome {
    let client = &mut lazy(options);
    match name {
        "four_kinds" => four_kinds(client).await,
        "refused_with_metadata" => refused_with_metadata(client).await,
        "metadata" => metadata(client).await,
        "metadata_over_limit" => metadata_over_limit(client).await,
        "headers_first" => headers_first(client).await,
        "many_cancels" => many_cancels(client).await,
        "gzip" => gzip(client).await,
        "flood" => flood(client).await,
        "killed_while_streaming" => killed_while_streaming(client).await,
        "unimplemented" => {
            let outcome = client.absent(EchoMessage::default()).await;
            fails_with(Code::Unimplemented, outcome).map(drop)
        }
        "aborted_by_server" => aborted_by_server(client).await,
        "cancelled_by_client" => cancelled_by_client(client).await,
        "deadline" => deadline(client).await,
        "deadline_is_told" => deadline_is_told(client).await,
        "request_at_cap" => {
            let count = request_of(client, CAP).await.map_err(said)?;
            expect(count, CAP as i32 - 13)
        }
        "request_over_cap" => {
            fails_with(Code::ResourceExhausted, request_of(client, CAP + 1).await)?;
            still_answers(client).await
        }
        "response_at_cap" => expect(response_of(client, CAP).await.map_err(said)?, CAP - 5),
        "response_over_cap" => {
            // tonic's own word for it.
            fails_with(Code::OutOfRange, response_of(client, CAP + 1).await)?;
            still_answers(client).await
        }
        "reconnects" => reconnects(options).await,
        "parallel" => parallel(client).await,
        "paused_reader" => paused_reader(client).await,
        "paused_upload" => paused_upload(client).await,
        "drained_while_streaming" => drained_while_streaming(client).await,
        "turned_away" => {
            // Whether tonic calls it unavailable, unknown or cancelled is a matter of moments: TLS
            // 1.3 tells a client that it is refused only after the client's first call.
            match client.unary(EchoMessage::default()).await {
                Ok(_) => Err("the call went well".into()),
                Err(_) => Ok(()),
            }
        }
        _ => Err("no such case".into()),
    }
}

/// A JSON string of a reason.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars().take(500) {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out + "\""
}

pub async fn run_cases(options: Options) {
    for asked in options["cases"].split(',') {
        let (label, name) = asked.split_once(':').unwrap_or((asked, asked));
        let started = Instant::now();
        let outcome = tokio::time::timeout(Duration::from_secs(60), run(name, &options))
            .await
            .unwrap_or_else(|_| Err("not done within 60 s".into()));
        let ms = started.elapsed().as_millis();
        match outcome {
            Ok(()) => println!("{{\"case\":{},\"ok\":true,\"ms\":{ms}}}", quoted(label)),
            Err(reason) => {
                let reason = quoted(&reason);
                println!(
                    "{{\"case\":{},\"ok\":false,\"reason\":{reason}}}",
                    quoted(label)
                );
            }
        }
    }
}
