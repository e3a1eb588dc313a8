//! How do viewers fare in networks that are not all alike? A laboratory of network namespaces: servers on a bridge, and
//! hosts on wires of their own that are slow, let no UDP through, or are kept apart from each other.
//!
//! It needs no privilege but user namespaces, and what it makes ends with the test: the test runs itself again inside
//! (`tests/net/lab.sh`), and its namespaces go with it. Where namespaces are forbidden the test fails, for a guarantee that
//! was not tested is none.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::process::Process;
use crate::root;

/// Where servers listen.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Set inside.
const INSIDE: &str = "TRELLIS_LAB";

/// The laboratory, seen from inside.
pub struct Lab {
    hosts: u8,
}

/// How a host is connected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wire {
    /// What it can send, kbit/s; None: as much as it likes.
    pub upload_kbps: Option<u32>,
    /// It cannot send UDP.
    pub no_udp: bool,
    /// It reaches the servers, but no other host that is kept apart.
    pub apart: bool,
}

/// A host with a network of its own.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Runs the body in a laboratory. `test` is the full name of the test that calls this, without the crate's.
///
/// # Panics
/// When the body does, or when there can be no laboratory here.
pub fn inside<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Lab) -> F) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
        return runtime.block_on(body(Lab { hosts: 0 }));
    }
    let again = std::env::current_exe().expect("a running test has a file");
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
    ]);
    command.arg(root().join("tests/net/lab.sh")).arg(again).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("unshare runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success() && said.contains("1 passed"), "in the laboratory:\n{said}");
}

impl Lab {
    /// One more host on the bridge.
    pub fn host(&mut self, wire: Wire) -> Host {
        self.hosts += 1;
        let host = Host { name: format!("host{}", self.hosts), address: Ipv4Addr::new(10, 77, 1, self.hosts) };
        let (name, port, address) = (&host.name, format!("port{}", self.hosts), host.address);
        ip(&format!("netns add {name}"));
        ip(&format!("link add {port} type veth peer name eth0 netns {name}"));
        ip(&format!("link set {port} master hub up"));
        ip(&format!("-n {name} addr add {address}/16 dev eth0"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link set eth0 up"));
        // Browsers gather only the address of a default route.
        ip(&format!("-n {name} route add default via {HUB}"));
        if let Some(kbps) = wire.upload_kbps {
            let shape = format!("qdisc add dev eth0 root tbf rate {kbps}kbit burst 32kb latency 100ms");
            run(host.command("tc").args(shape.split(' ')));
        }
        if wire.no_udp {
            ip(&format!("-n {name} rule add pref 1 ipproto udp blackhole"));
        }
        if wire.apart {
            run(Command::new("bridge").args(["link", "set", "dev", &port, "isolated", "on"]));
        }
        host
    }
}

impl Host {
    /// A program that will run on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// It can send UDP from now on.
    pub fn lets_udp_out(&self) {
        ip(&format!("-n {} rule del pref 1", self.name));
    }

    /// The same program, but on this host.
    pub fn moved(&self, program: &Command) -> Command {
        let mut command = self.command(&program.get_program().to_string_lossy());
        command.args(program.get_args());
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    /// Starts it here.
    pub fn start(&self, name: &str, program: &Command) -> Process {
        Process::start(&format!("{name} on {}", self.name), &mut self.moved(program))
    }
}

fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/setup-tests"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
