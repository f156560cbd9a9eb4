//! A link's record. Its signature is nowhere: it follows from a root and from what is said here.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::{Record, Unreadable};
use crate::model::image_link::{ImageLink, LinkId, LinkMaker};
use crate::model::{ApplicationCredentialId, ImageId, ProjectId, UserId};

/// A link without its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLinkRecord {
    image: [u8; 16],
    maker: MakerRecord,
    project: String,
    format: Option<String>,
    net: Option<String>,
    created_at: i64,
    expires_at: i64,
    first_used_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum MakerRecord {
    LocalAdmin,
    User { user: String, credential: Option<String> },
}

impl Record for ImageLinkRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "image link";
}

impl ImageLinkRecord {
    pub fn of(link: &ImageLink) -> ImageLinkRecord {
        ImageLinkRecord {
            image: *link.image.bytes(),
            maker: match &link.maker {
                LinkMaker::LocalAdmin => MakerRecord::LocalAdmin,
                LinkMaker::User(user, credential) => MakerRecord::User {
                    user: user.0.clone(),
                    credential: credential.as_ref().map(|credential| credential.0.clone()),
                },
            },
            project: link.project.0.clone(),
            format: link.format.clone(),
            net: link.net.map(|net| net.to_string()),
            created_at: link.created_at.0,
            expires_at: link.expires_at.0,
            first_used_at: link.first_used_at.map(|time| time.0),
        }
    }

    pub fn into_link(self, id: LinkId) -> Result<ImageLink, Unreadable> {
        // One that cannot be read must not become a link for everybody.
        let net = self
            .net
            .map(|net| net.parse())
            .transpose()
            .map_err(|_| Unreadable { name: Self::NAME, reason: "its network is none".into() })?;
        Ok(ImageLink {
            id,
            image: ImageId(uuid::Uuid::from_bytes(self.image)),
            maker: match self.maker {
                MakerRecord::LocalAdmin => LinkMaker::LocalAdmin,
                MakerRecord::User { user, credential } => {
                    LinkMaker::User(UserId(user), credential.map(ApplicationCredentialId))
                }
            },
            project: ProjectId(self.project),
            format: self.format,
            net,
            created_at: Time(self.created_at),
            expires_at: Time(self.expires_at),
            first_used_at: self.first_used_at.map(Time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    fn link(maker: LinkMaker) -> ImageLink {
        ImageLink {
            id: LinkId([9; 16]),
            image: ImageId(uuid::Uuid::from_bytes([3; 16])),
            maker,
            project: "p".into(),
            format: Some("vdi".into()),
            net: Some("10.0.0.0/8".parse().unwrap()),
            created_at: Time(1),
            expires_at: Time(2),
            first_used_at: Some(Time(-1)),
        }
    }

    #[test]
    fn the_form_is_golden() {
        let made = link(LinkMaker::User("u".into(), Some(ApplicationCredentialId("c".into()))));
        let bytes = encode(&ImageLinkRecord::of(&made));
        let (image, one) = ("03".repeat(16), "0100000000000000");
        let maker = format!("01000000{one}7501{one}63");
        let words = format!("{one}70010300000000000000766469010a0000000000000031302e302e302e302f38");
        let times = format!("{one}020000000000000001{}", "ff".repeat(8));
        assert_eq!(hex::encode(&bytes), format!("01{image}{maker}{words}{times}"));
        assert_eq!(decode::<ImageLinkRecord>(&bytes).unwrap().into_link(made.id).unwrap(), made);
    }

    #[test]
    fn the_local_administrators_is_told_apart_and_no_network_is_lost() {
        let made = link(LinkMaker::LocalAdmin);
        let record = ImageLinkRecord::of(&made);
        let read = decode::<ImageLinkRecord>(&encode(&record)).unwrap();
        assert_eq!(read.into_link(made.id).unwrap(), made);
        let broken = ImageLinkRecord { net: Some("10.0.0.0/99".into()), ..record };
        assert!(broken.into_link(made.id).is_err());
    }
}
