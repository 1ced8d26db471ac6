//! The files of a build for BuildKit: it asks for a folder, is told what is there, and asks for the contents that it lacks.
//!
//! The protocol is that of BuildKit's `fsutil`: a stat for each file in order, then an empty one; the other side asks for files by the number of
//! their stat, gets their data and an empty packet behind it; `FIN` from both sides ends it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::{Sender, channel};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::context::{Entry, Files};

/// Bytes of a file in one packet.
const PIECE: usize = 32 * 1024;

/// The folders that BuildKit may ask for.
#[derive(Debug)]
pub(super) struct Folders {
    /// The Dockerfile, and the list of what it ignores.
    pub(super) dockerfile: Arc<Files>,
    /// What takes part.
    pub(super) context: Arc<Files>,
}

type Reply = Result<Packet, Status>;

#[tonic::async_trait]
impl FileSync for Folders {
    type DiffCopyStream = ReceiverStream<Reply>;
    type TarStreamStream = ReceiverStream<Reply>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        let asked = |key: &str| -> Vec<String> {
            let values = request.metadata().get_all(key);
            values.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
        };
        let files = match asked("dir-name").first().map(String::as_str) {
            Some("dockerfile") => self.dockerfile.clone(),
            Some("context") => match asked("followpaths").as_slice() {
                [one] if one == ".dockerignore" => Arc::new(Files::only(&self.context.root, &[PathBuf::from(one)])),
                _ => self.context.clone(),
            },
            other => return Err(Status::not_found(format!("there is no folder `{}`", other.unwrap_or_default()))),
        };
        let (replies, stream) = channel(64);
        tokio::spawn(tell(files.clone(), replies.clone()));
        tokio::spawn(async move {
            if let Err(status) = answer(&files, request.into_inner(), &replies).await {
                // Nobody may be there any more to hear it.
                let _ = replies.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("only DiffCopy is there"))
    }
}

/// Says what is there; ends early where nobody listens any more.
async fn tell(files: Arc<Files>, replies: Sender<Reply>) {
    for entry in &files.entries {
        let reply = stat(&files.root, entry).map(|stat| Packet {
            r#type: PacketType::PacketStat.into(),
            stat: Some(stat),
            ..Packet::default()
        });
        if replies.send(reply).await.is_err() {
            return;
        }
    }
    let _ = replies.send(Ok(Packet { r#type: PacketType::PacketStat.into(), ..Packet::default() })).await;
}

async fn answer(files: &Files, mut asked: Streaming<Packet>, replies: &Sender<Reply>) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the engine has gone");
    while let Some(packet) = asked.message().await? {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketReq) => {
                let entry = usize::try_from(packet.id).ok().and_then(|id| files.entries.get(id));
                let entry = entry.ok_or_else(|| Status::not_found("there is no such file"))?;
                let path = files.root.join(&entry.path);
                let failed =
                    |error: std::io::Error| Status::unknown(format!("cannot read {}: {error}", path.display()));
                let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
                loop {
                    let mut data = vec![0; PIECE];
                    let count = file.read(&mut data).await.map_err(failed)?;
                    data.truncate(count);
                    let packet =
                        Packet { r#type: PacketType::PacketData.into(), id: packet.id, data, ..Packet::default() };
                    replies.send(Ok(packet)).await.map_err(gone)?;
                    if count == 0 {
                        break;
                    }
                }
            }
            Ok(PacketType::PacketFin) => {
                let fin = Packet { r#type: PacketType::PacketFin.into(), ..Packet::default() };
                return replies.send(Ok(fin)).await.map_err(gone);
            }
            Ok(PacketType::PacketErr) => return Ok(()),
            _ => return Err(Status::invalid_argument("a packet of an unknown kind")),
        }
    }
    Ok(())
}

/// Owners are root, as Docker's client has it.
fn stat(root: &Path, entry: &Entry) -> Result<Stat, Status> {
    let name = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| Status::unknown(format!("{}: the name is no UTF-8", path.display())))
    };
    let metadata = &entry.metadata;
    let linkname = if metadata.is_symlink() {
        let path = root.join(&entry.path);
        name(&path.read_link().map_err(|error| Status::unknown(format!("{}: {error}", path.display())))?)?
    } else {
        String::new()
    };
    Ok(Stat {
        path: name(&entry.path)?,
        mode: mode(metadata),
        size: if metadata.is_file() { i64::try_from(metadata.len()).unwrap_or(i64::MAX) } else { 0 },
        mod_time: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(),
        linkname,
        ..Stat::default()
    })
}

/// As Go's `os.FileMode` has it.
fn mode(metadata: &std::fs::Metadata) -> u32 {
    let unix = metadata.mode();
    let bit = |set: bool, bit: u32| if set { 1 << bit } else { 0 };
    unix & 0o777
        | bit(metadata.is_dir(), 31)
        | bit(metadata.is_symlink(), 27)
        | bit(unix & 0o4000 != 0, 23)
        | bit(unix & 0o2000 != 0, 22)
        | bit(unix & 0o1000 != 0, 20)
}
