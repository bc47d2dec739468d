//! Targets as text.

use super::Error;
use crate::model::InstanceTarget;

impl TryFrom<&str> for InstanceTarget {
    type Error = Error;

    /// Reads `i-…` or `user@i-…`; everything else is at its default.
    fn try_from(text: &str) -> Result<Self, Error> {
        let (user, instance) = match text.rsplit_once('@') {
            Some((user, instance)) => (Some(user.parse()?), instance),
            None => (None, text),
        };
        let mut target = Self::new(instance.parse()?);
        if let Some(user) = user {
            target.os_user = user;
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_gives_user_and_instance() {
        let target = InstanceTarget::try_from("ubuntu@i-0123456789abcdef0").unwrap();
        assert_eq!(target.os_user.as_str(), "ubuntu");
        assert_eq!(target.instance.as_str(), "i-0123456789abcdef0");
        assert_eq!(InstanceTarget::try_from("i-1").unwrap(), InstanceTarget::new("i-1".parse().unwrap()));
    }

    #[test]
    fn malformed_text_names_its_part() {
        assert!(matches!(InstanceTarget::try_from("web-1"), Err(Error::Instance(_))));
        assert!(matches!(InstanceTarget::try_from("@i-1"), Err(Error::Target(_))));
        assert!(matches!(InstanceTarget::try_from("-l root@i-1"), Err(Error::Target(_))));
    }
}
