//! Whatever text is read, it ends in a value or an error: inventories, patterns, vaults, lines of arguments, playbooks.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Inventory, Loader, LoaderOptions, Vault, arguments, ini, literal, pattern};
use crate::host::Secret;
use crate::text::{Kind, Node, Place, Source, Style, render_diagnostic};

const SIGNS: &str = "[-:;=#!&,~@'\"\\\\{}\\[\\]() \t\n\r%*?é0-9a-c_.$|+]{0,60}";

fn loader() -> Loader {
    Loader::new(LoaderOptions {
        roles_path: vec![],
        collections_path: vec![],
        playbook_dir: PathBuf::from("/nonexistent"),
        vault: Arc::new(Vault::default()),
        render_static: None,
        duplicate_keys: "warn".into(),
    })
}

proptest! {
    #[test]
    fn inventories(text in SIGNS) {
        let mut inventory = Inventory::default();
        let source = Source::new("hosts", &*text);
        if let Err(errors) = ini::read(&mut inventory, &source) {
            errors.iter().for_each(|error| assert!(!render_diagnostic(error, false).is_empty()));
        }
        for host in inventory.hosts() {
            inventory.group_vars(&host);
        }
    }

    #[test]
    fn patterns(text in SIGNS) {
        let mut inventory = Inventory::default();
        for host in ["a1", "a2", "b"] {
            inventory.add_to_group(host, "c");
        }
        // A limit file would be read from the disk.
        if !text.contains('@') {
            let _ = inventory.matching(&text);
        }
        pattern::expand(&text);
        pattern::split_port(&text);
    }

    #[test]
    fn literals(text in SIGNS) {
        literal::literal(&text, &Place::synthetic("t"));
    }

    #[test]
    fn lines_of_arguments(text in SIGNS, module in "copy|shell|debug|meta") {
        let _ = arguments::split(&module, &Node::new(Kind::Str(text, Style::Plain), Place::synthetic("t")));
    }

    #[test]
    fn vaults(text in "[0-9a-f\n]{0,90}|\\PC{0,40}", version in "1.1|1.2|2") {
        let vault = Vault::new(vec![("default".into(), Secret::new("a"))]);
        assert!(vault.decrypt(&format!("$ANSIBLE_VAULT;{version};AES256\n{text}")).is_err());
        assert!(vault.decrypt(&text).is_err());
    }

    #[test]
    fn playbooks(text in SIGNS, key in "hosts|tasks|roles|block|include_tasks|import_tasks|when|vars|loop|name|debug|copy") {
        let source: Arc<Source> = Source::new("play.yml", format!("- hosts: a\n  tasks:\n  - {key}: {text}\n    {key}: {text}\n"));
        if let Err(errors) = loader().playbook_from(&source, &PathBuf::from("/nonexistent")) {
            errors.iter().for_each(|error| assert!(!render_diagnostic(error, false).is_empty()));
        }
    }
}
