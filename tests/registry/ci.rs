//! What CI systems are told.

use crate::PROJECT;
use crate::project::{Project, said};
use crate::server::Server;

#[test]
fn github_gets_outputs_and_a_summary() {
    let server = Server::plain();
    let project = Project::new(PROJECT);
    let file = |name: &str| project.folder.path().join(name);
    let mut command = project.command(&["build-push", "--registry", &server.name(), "--output", "github"]);
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", file("output"))
        .env("GITHUB_STEP_SUMMARY", file("summary"));
    std::fs::write(file("output"), "before=1\n").expect("written");
    let said = said(&mut command).expect(0, "::group::Build and push (1 host)").expect(0, "::endgroup::");

    let output = std::fs::read_to_string(file("output")).expect("outputs");
    let lines: Vec<_> = output.lines().collect();
    let digest = lines[3].strip_prefix("digest=").expect("a digest");
    let image = format!("{}/faulty", server.name());
    assert_eq!(lines[0], "before=1");
    assert!(lines[1].starts_with(&format!("image={image}:main-")) && lines[2].starts_with("tag=main-"), "{output}");
    assert_eq!(lines[4], format!("reference={image}@{digest}"));
    assert_eq!(lines[5], format!("images={{\"faulty\":\"{image}@{digest}\"}}"));
    let summary = std::fs::read_to_string(file("summary")).expect("a summary");
    assert!(summary.starts_with("| image | digest |") && summary.contains(&format!("| `{digest}` |")), "{summary}");
    assert!(said.out.contains(digest));
}

#[test]
fn gitlab_gets_a_dotenv_report() {
    let project = Project::new(PROJECT);
    project.crudctl(&["build-push", "--no-push", "--dotenv", "target/image.env"]).expect(0, "");
    let report = std::fs::read_to_string(project.path().join("target/image.env")).expect("a report");
    let names: Vec<_> = report.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(names.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["IMAGE", "TAG", "DIGEST", "REFERENCE"]);
    assert!(names[2].1.starts_with("sha256:") && names[1].1.starts_with("main-"), "{report}");
}

#[test]
fn only_what_changed_is_built() {
    let text =
        "name: two\nimages:\n  one: {build: {cargo: .}, paths: [src]}\n  two: {build: {cargo: .}, paths: [web]}\n";
    let project = Project::new(text);
    let changed = ["build-push", "--no-push", "--changed-since", "HEAD", "--print", "reference"];
    assert_eq!(project.crudctl(&changed).expect(0, "no image changed since HEAD").out, "");
    std::fs::create_dir(project.path().join("web")).expect("a folder");
    std::fs::write(project.path().join("web/index.html"), "x").expect("written");
    let said = project.crudctl(&changed).expect(0, "");
    assert!(said.out.starts_with("two@sha256:") && said.out.lines().count() == 1, "{}", said.out);
    project
        .crudctl(&["build-push", "--no-push", "--changed-since", "nowhere"])
        .expect(1, "git can't tell what changed");
}

#[test]
fn pipelines_are_written_once() {
    let project = Project::new(PROJECT);
    for (system, file) in
        [("github", ".github/workflows/image.yml"), ("gitlab", ".gitlab-ci.yml"), ("make", "Makefile")]
    {
        project.crudctl(&["init", "--ci", system]).expect(0, file);
        assert!(project.path().join(file).is_file());
        project.crudctl(&["init", "--ci", system]).expect(5, "is there already");
    }
}
