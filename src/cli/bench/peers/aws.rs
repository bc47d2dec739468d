//! aws-cli: its ssh command, and its tunnel with OpenSSH.

use std::ffi::OsString;
use std::path::Path;

use super::{Peer, Setting, quoted, words};
use crate::cli::bench::programs::{find, is_program, version};
use crate::model::EndpointChoice;

impl Setting<'_> {
    /// Returns both peers of aws-cli, or the reason why they are missing.
    pub(super) async fn aws(&self) -> Result<Vec<Peer>, String> {
        if self.target().account.role_arn.is_some() {
            return Err("aws-cli has no option for a role; a profile that names one has".into());
        }
        let aws = match &self.args.aws {
            Some(path) if is_program(path) => path.clone(),
            Some(path) => return Err(format!("{} is no program", path.display())),
            None => find("aws").ok_or("aws is not installed; --aws names one")?,
        };
        let aws = std::path::absolute(aws).map_err(|error| error.to_string())?;
        let mut found = vec![self.aws_ssh(&aws)?];
        let mut proxy = vec![aws.clone().into_os_string()];
        proxy.extend(words(&["ec2-instance-connect", "open-tunnel"]));
        proxy.extend(self.aws_way(false));
        let what = "OpenSSH through `aws ec2-instance-connect open-tunnel`";
        found.push(self.openssh_through("aws-tunnel", what, &proxy)?);
        let version = version(&aws, "--version", &self.env).await;
        if version.as_ref().is_some_and(|version| version.starts_with("aws-cli/1.")) {
            return Err(format!(
                "{} is aws-cli 1, which opens no tunnels; it takes 2.12 or later",
                aws.display()
            ));
        }
        for peer in &mut found {
            peer.version.clone_from(&version);
        }
        Ok(found)
    }

    /// Returns `aws ec2-instance-connect ssh`. It runs the first `ssh` of PATH without options, so PATH starts with a
    /// wrapper that keeps host keys in the private folder, without prompts and messages.
    fn aws_ssh(&self, aws: &Path) -> Result<Peer, String> {
        let ssh = find("ssh").ok_or("ssh, which aws-cli runs, is not installed")?;
        let bin = self.folder.path().join("bin");
        let text = |error: std::io::Error| format!("its ssh cannot be prepared: {error}");
        std::fs::create_dir_all(&bin).map_err(text)?;
        for (name, program, options) in
            [("ssh", ssh.as_path(), self.host_key_options()), ("aws", aws, vec![])]
        {
            let mut line = quoted(program.as_os_str())?;
            for option in options {
                line.push_str(&format!(" -o {}", quoted(option.as_ref())?));
            }
            let script = format!("#!/bin/sh\nexec {line} \"$@\"\n");
            self.folder.write(&format!("bin/{name}"), &script, 0o700).map_err(text)?;
        }
        let mut path = OsString::from(&bin);
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        let mut env = self.env.clone();
        env.push(("PATH".into(), path));
        let target = self.target();
        let mut shell = words(&["ec2-instance-connect", "ssh", "--connection-type", "eice"]);
        shell.extend(words(&["--os-user", target.os_user.as_str(), "--ssh-port", &target.port.to_string()]));
        shell.extend(self.aws_way(true));
        Ok(Peer {
            name: "aws-ssh",
            what: "aws ec2-instance-connect ssh".into(),
            version: None,
            through_endpoint: true,
            needs_key: false,
            program: aws.to_owned(),
            shell,
            command: None,
            env,
            complaints: None,
        })
    }

    /// Returns the options of aws-cli's `ssh` or `open-tunnel` for the target.
    fn aws_way(&self, is_ssh: bool) -> Vec<OsString> {
        let target = self.target();
        let mut options = words(&["--instance-id", target.instance.as_str()]);
        let (id, dns_name) = match &target.endpoint {
            EndpointChoice::Automatic => (None, None),
            EndpointChoice::Id(id) => (Some(id.to_string()), None),
            EndpointChoice::Known { id, dns_name } => (Some(id.to_string()), Some(dns_name.clone())),
        };
        let duration = target.max_duration.map(|max| max.as_secs().to_string());
        let address = target.private_address.map(|address| address.to_string());
        if is_ssh {
            let pairs = [("endpointId", id), ("dnsName", dns_name), ("maxTunnelDuration", duration)];
            let pairs: Vec<_> =
                pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
            if !pairs.is_empty() {
                options.extend(words(&["--eice-options", &pairs.join(",")]));
            }
            options.extend(address.map(|ip| words(&["--instance-ip", &ip])).into_iter().flatten());
        } else {
            options.extend(words(&["--remote-port", &target.port.to_string()]));
            for (name, value) in [
                ("--instance-connect-endpoint-id", id),
                ("--instance-connect-endpoint-dns-name", dns_name),
                ("--max-tunnel-duration", duration),
                ("--private-ip-address", address),
            ] {
                options.extend(value.map(|value| words(&[name, &value])).into_iter().flatten());
            }
        }
        options
    }
}
