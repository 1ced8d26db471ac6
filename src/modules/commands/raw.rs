//! `raw`: text for the host's shell, nothing around it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::Run;
use crate::host::script::{Script, quote, quote_path};
use crate::modules::{Apply, Check, Context, HostModule};

/// Runs text in the host's shell, output as it is.
///
/// ```yaml
/// - raw: cat < /tmp/*txt
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// The text.
    #[serde(alias = "_raw_params", alias = "cmd")]
    free_form: String,
    /// The shell.
    #[serde(default)]
    executable: Option<String>,
}

impl Raw {
    fn run(&self) -> Run {
        let shell = self.executable.as_deref().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
        let script = Script::new(format!("exec {} -c {}", quote_path(shell), quote(&self.free_form)));
        Run { strip: false, ..Run::new(script) }
    }
}

impl HostModule for Raw {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.run().check(cx))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        Ok(self.run().apply())
    }
}
