//! Shared parts of the help texts.

/// Appends the environment variables of AWS verbs, then the exit codes.
#[cfg(feature = "client")]
macro_rules! aws_help {
    ($examples:literal) => {
        concat!(
            $examples,
            "\n\nEnvironment:
  AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID, …  as for every AWS client: variables, profiles,
                           single sign-on, web identity, container and instance roles
  AWS_ENDPOINT_URL         where the AWS APIs answer, when it is not AWS; with _EC2, _STS or
                           _EC2_INSTANCE_CONNECT at the end for one of them
  AWS_CA_BUNDLE            PEM file of authorities to trust besides the system's, by APIs and tunnel
  HTTPS_PROXY, ALL_PROXY, NO_PROXY  proxy of the tunnel (http:// or socks5://), as curl reads them
  EICE_LOG                 what to log, as --log

",
            exit_help!()
        )
    };
}

/// Appends the exit codes.
macro_rules! exit_help {
    () => {
        "Exit codes:
  0   success (ssh: the remote command's own status, 128+n when signal n ended it)
  64  the command line is wrong
  66  the instance, endpoint, workspace or container is not there
  69  it is there but cannot be used or reached: network, proxy, state, quota
  70  a fault of eice itself
  75  a deadline passed; trying again may work
  76  TLS, the protocol or the host key is not what it must be
  77  denied by AWS, or the instance does not accept the key
  78  the configuration is wrong, or there are no usable AWS credentials"
    };
}

#[cfg(feature = "client")]
pub(crate) use aws_help;
pub(crate) use exit_help;
