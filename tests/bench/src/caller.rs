//! Standard gRPC callers in processes of their own: grpcio and grpc-java, both with default options.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use prost::Message as _;
use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::{
    drain::{Drained, Stall, request},
    program::{command, run},
};

/// A program that calls `Update` once.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name in the tables.
    pub name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// The JSON object that a caller prints.
#[derive(Debug, Deserialize)]
struct Counts {
    records: u64,
    messages: u64,
    bytes: u64,
    seconds: f64,
}

impl Caller {
    /// Creates the caller that uses Python's grpcio; `python` is an interpreter that has it.
    pub fn grpcio(python: &Path, folder: &Path) -> Self {
        Self {
            name: "grpcio",
            program: python.to_owned(),
            arguments: vec![folder.join("grpcio_caller.py").into()],
        }
    }

    /// Creates the caller that uses grpc-java; `classpath` has its libraries.
    pub fn java(classpath: &str, folder: &Path) -> Self {
        Self {
            name: "grpc-java",
            program: "java".into(),
            arguments: vec![
                "-cp".into(),
                classpath.into(),
                folder.join("GrpcJavaCaller.java").into(),
            ],
        }
    }

    /// Calls `Update` at a port of this machine. Returns the counts and the duration of the call.
    pub async fn update(
        &self,
        port: u16,
        configuration: std::collections::HashMap<String, String>,
        stall: Option<Stall>,
    ) -> Result<(Drained, Duration)> {
        let mut file = NamedTempFile::new()?;
        file.write_all(&request(configuration, Some("{}".to_owned())).encode_to_vec())?;
        let (after, seconds) = stall.map_or((0, 0), |it| (it.after, it.lasts.as_secs()));
        let mut caller = command(&self.program);
        caller.args(&self.arguments).arg(port.to_string());
        caller.arg(file.path()).arg(after.to_string());
        let output = run(caller.arg(seconds.to_string())).await?.output;
        let counts: Counts = serde_json::from_str(&output).context(self.name)?;
        let drained = Drained {
            records: counts.records,
            messages: counts.messages,
            bytes: counts.bytes,
            ..Drained::default()
        };
        Ok((drained, Duration::from_secs_f64(counts.seconds)))
    }
}
