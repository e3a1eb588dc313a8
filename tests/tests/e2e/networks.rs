//! What do viewers get in networks that are in their way: slow, without UDP, kept apart?

use trellis_tests::lab::{HUB, Wire, inside};
use trellis_tests::server::Setup;

#[test]
fn a_host_of_the_laboratory_reaches_the_server() {
    inside("networks::a_host_of_the_laboratory_reaches_the_server", async |mut lab| {
        let server = Setup::new("all").at(HUB).start().await;
        for wire in
            [Wire { no_udp: true, ..Wire::default() }, Wire { apart: true, upload_kbps: Some(600), ..Wire::default() }]
        {
            let host = lab.host(wire);
            let output = host.command("curl").args(["-fsS", &format!("{}/health", server.base())]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{}", String::from_utf8_lossy(&output.stderr));
        }
    });
}
