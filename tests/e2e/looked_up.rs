//! Outputs looked up by their whole keys, as programs do it.

use kbs_proto::pb;
use kbs_proto::pb::store_client::StoreClient;
use kbs_testkit::{FxSpec, Repo, fx};
use tonic::Code;

use crate::lab::{Delivered, Lab};

const UNKNOWN: &str = "key:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn query(lab: &Lab, keys: &[&str]) -> Result<Vec<pb::QueryEntry>, tonic::Status> {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = lab.state().join("kbsd.sock");
        let mut client = StoreClient::new(kbs_proto::client::connect(&socket).await.unwrap());
        Ok(client.query(pb::QueryRequest { keys }).await?.into_inner().entries)
    })
}

fn built(lab: &Lab, repo: &Repo, name: &str) -> Delivered {
    let spec = FxSpec::new(repo).config(&format!("CONFIG_NAME=\"{name}\""));
    lab.realize(&spec, &["--json"]).done().output()
}

#[test]
fn every_key_has_an_answer_in_the_order_of_the_question() {
    let (lab, repo) = (Lab::new(), fx());
    let (a, b) = (built(&lab, &repo, "a"), built(&lab, &repo, "b"));
    // Few are answered at once, many on a thread of their own.
    for times in [1, 10] {
        let keys = [b.key.as_str(), UNKNOWN, &a.key, &b.key].repeat(times);
        let entries = query(&lab, &keys).unwrap();
        assert_eq!(entries.iter().map(|entry| &entry.key).collect::<Vec<_>>(), keys);
        let [first, unknown, second, again] = &entries[..4] else { panic!("{entries:?}") };
        assert!(first.found && first == again);
        assert_eq!(*unknown, pb::QueryEntry { key: UNKNOWN.to_owned(), ..Default::default() });
        assert_eq!((second.path.as_ref(), &second.tree), (a.path.to_str().unwrap(), &a.tree));
        assert!(second.size_b > 0 && second.entries == 2 && second.created_unix_s > 0);
    }
    assert!(query(&lab, &[]).unwrap().is_empty());
    for wrong in ["", "key:", &a.key[..20], "tree:00", "../../x"] {
        let refused = query(&lab, &[&a.key, wrong]).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}: {refused}");
    }
    lab.run(["gc", "--all"]).done();
    assert!(!query(&lab, &[&a.key]).unwrap()[0].found);
}
