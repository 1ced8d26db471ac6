//! What BuildKit may ask of us while it builds: files, credentials of registries, secrets. It asks over `POST /session`, which turns round:
//! the engine is the client there, and we serve gRPC.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{self, Poll};

use anyhow::{Context as _, Result};
use bollard_buildkit_proto::health as health_proto;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1 as auth_proto;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

use super::filesync::Folders;
use super::{Logins, SecretBytes};
use crate::image::Engine;

/// What is served, as the engine has to be told.
const METHODS: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
];

/// Bytes of a message at most.
const MESSAGE: usize = 16 << 20;

/// A session; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    /// What a build names it by.
    pub(super) id: String,
    _end: oneshot::Sender<()>,
}

impl Session {
    /// Opens one. `None` where the engine has no sessions, and so no BuildKit.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(super) async fn open(
        engine: &Engine,
        shared_key: &str,
        folders: Folders,
        logins: Logins,
        secrets: BTreeMap<String, SecretBytes>,
    ) -> Result<Option<Self>> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut request = hyper::Request::post("/session")
            .header("Host", "docker")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "crudctl")
            .header("X-Docker-Expose-Session-Sharedkey", shared_key);
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let response = engine.request(request.body(body)?).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        let stream = hyper::upgrade::on(response).await.context("the engine's session")?;
        let once = stream::iter([Ok::<_, std::io::Error>(Stream(TokioIo::new(stream)))]).chain(stream::pending());
        let secrets = SecretsServer::new(Keeper(secrets)).max_encoding_message_size(MESSAGE);
        let files = FileSyncServer::new(folders).max_encoding_message_size(MESSAGE);
        let router = tonic::transport::Server::builder()
            .add_service(HealthServer::new(Well))
            .add_service(AuthServer::new(Doorman(logins)))
            .add_service(files)
            .add_service(secrets);
        let (end, ended) = oneshot::channel::<()>();
        tokio::spawn(router.serve_with_incoming_shutdown(once, async {
            // It is dropped, never sent.
            let _ = ended.await;
        }));
        Ok(Some(Self { id, _end: end }))
    }
}

/// The turned connection.
struct Stream(TokioIo<Upgraded>);

impl Connected for Stream {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Well;

#[tonic::async_trait]
impl Health for Well {
    type WatchStream = stream::Empty<Result<health_proto::HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<health_proto::HealthCheckRequest>,
    ) -> Result<Response<health_proto::HealthCheckResponse>, Status> {
        let status = health_proto::health_check_response::ServingStatus::Serving.into();
        Ok(Response::new(health_proto::HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _: Request<health_proto::HealthListRequest>,
    ) -> Result<Response<health_proto::HealthListResponse>, Status> {
        Err(Status::unimplemented("only Check is there"))
    }

    async fn watch(&self, _: Request<health_proto::HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only Check is there"))
    }
}

/// Gives the credentials of registries; the engine fetches tokens itself.
struct Doorman(Logins);

#[tonic::async_trait]
impl Auth for Doorman {
    async fn credentials(
        &self,
        request: Request<auth_proto::CredentialsRequest>,
    ) -> Result<Response<auth_proto::CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let login = self.0.find(&host).await.map_err(|error| Status::unknown(format!("{error:#}")))?;
        let (username, secret) = login.unwrap_or_default();
        Ok(Response::new(auth_proto::CredentialsResponse { username, secret }))
    }

    async fn fetch_token(
        &self,
        _: Request<auth_proto::FetchTokenRequest>,
    ) -> Result<Response<auth_proto::FetchTokenResponse>, Status> {
        Err(Status::unimplemented("only Credentials is there"))
    }

    async fn get_token_authority(
        &self,
        _: Request<auth_proto::GetTokenAuthorityRequest>,
    ) -> Result<Response<auth_proto::GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("only Credentials is there"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<auth_proto::VerifyTokenAuthorityRequest>,
    ) -> Result<Response<auth_proto::VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("only Credentials is there"))
    }
}

/// Gives the secrets of the build.
struct Keeper(BTreeMap<String, SecretBytes>);

#[tonic::async_trait]
impl Secrets for Keeper {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let secret = self.0.get(&id).ok_or_else(|| Status::not_found(format!("there is no secret `{id}`")))?;
        Ok(Response::new(GetSecretResponse { data: secret.expose().to_vec() }))
    }
}
