//! What is said about an image beside it in the registry.

use std::process::Command;

use serde_json::Value;

use crate::PROJECT;
use crate::project::Project;
use crate::server::{Server, run};

#[test]
fn a_bill_of_materials_and_provenance_refer_to_the_image() {
    let server = Server::plain();
    let project = Project::new(PROJECT);
    let inner = project.path().join("inner");
    std::fs::create_dir_all(inner.join("src")).expect("a folder");
    std::fs::write(inner.join("Cargo.toml"), "[package]\nname = \"inner\"\nversion = \"0.3.1\"\nlicense = \"MIT\"\n")
        .expect("written");
    std::fs::write(inner.join("src/lib.rs"), "").expect("written");
    let manifest = project.path().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, format!("{text}\n[dependencies]\ninner = {{path = \"inner\"}}\n")).expect("written");
    run(Command::new("cargo").args(["update", "--offline", "--workspace", "-q"]).current_dir(project.path()));
    project.commit();

    let to = format!("{}/team", server.name());
    let push = ["build-push", "--registry", &to, "--sbom", "--provenance"];
    project.crudctl(&["build-push", "--registry", &to]).expect(0, "3 sent");
    project.crudctl(&push).expect(0, "0 sent").expect(0, "2 attached").expect(0, "changed=1");
    let again = project.crudctl(&push).expect(0, "changed=0");
    assert!(!again.out.contains("attached"), "{}", again.out);

    let digest = project.crudctl(&["build-push", "--registry", &to, "--print", "digest"]).expect(0, "").out;
    let hex = digest.trim().strip_prefix("sha256:").expect("a digest");
    // Debian's registry keeps no list of referrers: they stand in an index under a tag.
    let raw = |name: &str| -> Value {
        let image = format!("docker://{to}/faulty{name}");
        let text = run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]));
        serde_json::from_str(&text).expect("JSON")
    };
    let index = raw(&format!(":sha256-{hex}"));
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let artifacts = index["manifests"].as_array().expect("descriptors");
    let said = |kind: &str| -> Value {
        let found: Vec<_> = artifacts.iter().filter(|artifact| artifact["artifactType"] == kind).collect();
        assert_eq!(found.len(), 1, "{index}");
        let manifest = raw(&format!("@{}", found[0]["digest"].as_str().expect("a digest")));
        assert_eq!((&manifest["artifactType"], &manifest["subject"]["digest"]), (&kind.into(), &digest.trim().into()));
        let blob = manifest["layers"][0]["digest"].as_str().and_then(|d| d.strip_prefix("sha256:")).expect("a blob");
        let path = format!("data/docker/registry/v2/blobs/sha256/{}/{blob}/data", &blob[..2]);
        serde_json::from_slice(&std::fs::read(server.folder.path().join(path)).expect("the blob")).expect("JSON")
    };
    let bill = said("application/vnd.cyclonedx+json");
    assert_eq!((&bill["bomFormat"], &bill["metadata"]["component"]["name"]), (&"CycloneDX".into(), &"faulty".into()));
    let component = &bill["components"][0];
    assert_eq!(
        (&component["bom-ref"], &component["licenses"][0]["expression"]),
        (&"inner@0.3.1".into(), &"MIT".into())
    );

    let provenance = said("application/vnd.in-toto+json");
    assert_eq!(provenance["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(provenance["subject"][0]["digest"]["sha256"], hex);
    let source = &provenance["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!(source["digest"]["gitCommit"], project.git(&["rev-parse", "HEAD"]).trim());

    let listed = project.crudctl(&["image", "ls", &format!("{to}/faulty")]).expect(0, "main-").out;
    assert_eq!(listed.lines().count(), 1, "an index of referrers is no image: {listed}");
    std::fs::write(project.path().join("Dockerfile"), "FROM scratch\n").expect("written");
    std::fs::write(
        project.path().join("crudctl.yaml"),
        "name: a\nimage: {build: {dockerfile: Dockerfile}, sbom: true}\n",
    )
    .expect("written");
    project.crudctl(&["build-push", "--registry", &to]).expect(2, "`sbom` is for a cargo package");
}
