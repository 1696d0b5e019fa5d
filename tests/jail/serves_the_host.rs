//! Listens on a port, for the host to connect to.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use kbs_sandbox::Wall;

use crate::{
    attempt::{Verdict, attempt, walls_hold},
    kit::{as_each_user, first_line},
};

const SCRIPT: &str = r"
import socket
s = socket.socket()
s.bind(('127.0.0.1', int(os.environ['PORT'])))
s.listen()
print('listening', flush=True)
s.accept()
escaped('served')
";

#[test]
fn the_host_finds_no_service_of_a_jail() {
    as_each_user(|kit| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let attempt = attempt(kit, SCRIPT).env("PORT", port);
        walls_hold(&[Wall::NetNamespace, Wall::Landlock], |without| {
            let (job, log) = attempt.start(without);
            let mut said = first_line(&log);
            if said == "listening" {
                match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    Ok(_served) => said = first_line(&log),
                    Err(error) => said = format!("held: {error}"),
                }
            }
            job.kill();
            job.wait().unwrap();
            Verdict::read(&said).unwrap()
        });
    });
}
