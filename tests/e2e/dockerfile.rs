//! The Dockerfile, as far as it can be tested without a registry: what it copies and runs exists, and its last stage is
//! the image of the static binary's tests.

use std::fs;
use std::path::Path;

/// An instruction and its arguments, continued lines joined.
type Instruction = (String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn instructions() -> Vec<Instruction> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap().replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, arguments) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), arguments.trim().to_owned())
    };
    lines.map(split).collect()
}

/// Returns the instructions of the last stage, `FROM` first.
pub(crate) fn last_stage() -> Vec<Instruction> {
    let all = instructions();
    let start = all.iter().rposition(|(name, _)| name == "FROM").expect("a FROM");
    all[start..].to_vec()
}

#[test]
fn copy_and_run_sources_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut stages = Vec::new();
    for (name, arguments) in instructions() {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        match name.as_str() {
            "FROM" => {
                stages.extend(words.iter().skip_while(|word| **word != "AS").nth(1).map(ToString::to_string))
            }
            "COPY" => match words[0].strip_prefix("--from=") {
                Some(stage) => assert!(stages.iter().any(|known| known == stage), "{arguments}"),
                None => {
                    for source in &words[..words.len() - 1] {
                        assert!(root().join(source).exists(), "COPY {arguments}: no {source}");
                    }
                }
            },
            "RUN" if words[0] == "make" => {
                assert!(makefile.contains(&format!("\n{}:", words[1])), "RUN {arguments}");
            }
            "RUN" => assert!(root().join(words[0]).is_file(), "RUN {arguments}"),
            "ARG" | "ENV" | "ENTRYPOINT" | "USER" | "VOLUME" | "WORKDIR" => {}
            other => panic!("nothing here holds {other} to anything"),
        }
    }
    // The first stage's output is the second script's input.
    let made = "target/packages/eice";
    assert!(makefile.contains(made));
    assert!(instructions().iter().any(|(name, text)| name == "RUN" && text.contains(made)));
}

#[test]
fn image_is_from_scratch_and_unprivileged() {
    let stage = last_stage();
    assert_eq!(stage[0], ("FROM".into(), "scratch".into()));
    let of = |wanted: &str| {
        let found: Vec<&str> =
            stage.iter().filter(|(name, _)| name == wanted).map(|(_, text)| text.as_str()).collect();
        assert_eq!(found.len(), 1, "{wanted}: {found:?}");
        found[0].to_owned()
    };
    let user = of("USER");
    let ids: Vec<u32> =
        user.split(':').map(|id| id.parse().expect("a number: there is no /etc/passwd")).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id > 0), "{user}");
    assert!(
        fs::read_to_string(root().join("packaging/image.sh")).unwrap().contains(&format!("chown {user} "))
    );
    assert_eq!(of("ENTRYPOINT"), r#"["/usr/bin/eice"]"#);
    assert_eq!(of("ENV"), format!("XDG_STATE_HOME={}", of("VOLUME")));
}

#[test]
fn dockerignore_covers_unneeded_files() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for folder in ["target", ".git", "web/node_modules"] {
        assert!(ignored.lines().any(|line| line == folder), "{folder}");
    }
}
