//! The AWS calls in use, and the permissions they need.

use std::fmt;

/// An AWS call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// EC2's `DescribeInstances`.
    DescribeInstances,
    /// EC2's `DescribeInstanceConnectEndpoints`.
    DescribeInstanceConnectEndpoints,
    /// EC2's `GetConsoleOutput`.
    GetConsoleOutput,
    /// EC2's `DescribeSecurityGroups`.
    DescribeSecurityGroups,
    /// EC2 Instance Connect's `SendSSHPublicKey`.
    SendSshPublicKey,
    /// STS's `AssumeRole`.
    AssumeRole,
    /// STS's `GetCallerIdentity`.
    CallerIdentity,
}

impl Action {
    /// Returns the name of the API operation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeInstanceConnectEndpoints => "DescribeInstanceConnectEndpoints",
            Self::GetConsoleOutput => "GetConsoleOutput",
            Self::DescribeSecurityGroups => "DescribeSecurityGroups",
            Self::SendSshPublicKey => "SendSSHPublicKey",
            Self::AssumeRole => "AssumeRole",
            Self::CallerIdentity => "GetCallerIdentity",
        }
    }

    /// Returns the IAM action that allows the call.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::DescribeInstances => "ec2:DescribeInstances",
            Self::DescribeInstanceConnectEndpoints => "ec2:DescribeInstanceConnectEndpoints",
            Self::GetConsoleOutput => "ec2:GetConsoleOutput",
            Self::DescribeSecurityGroups => "ec2:DescribeSecurityGroups",
            Self::SendSshPublicKey => "ec2-instance-connect:SendSSHPublicKey",
            Self::AssumeRole => "sts:AssumeRole",
            // Needs no permission; only an explicit deny in an SCP can name it.
            Self::CallerIdentity => "sts:GetCallerIdentity",
        }
    }

    /// Returns the pattern of the resource ARN that the permission applies to.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            // None supports resource-level permissions (service authorization reference, EC2 and STS).
            Self::DescribeInstances
            | Self::DescribeInstanceConnectEndpoints
            | Self::DescribeSecurityGroups
            | Self::CallerIdentity => "*",
            Self::GetConsoleOutput | Self::SendSshPublicKey => "arn:aws:ec2:REGION:ACCOUNT:instance/INSTANCE",
            Self::AssumeRole => "arn:aws:iam::ACCOUNT:role/ROLE",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
