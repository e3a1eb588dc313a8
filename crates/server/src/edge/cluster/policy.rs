//! What may a viewer be to the others? What its ticket says; its own wish may be less. As the cluster hears every greeting
//! through here, nobody is asked for what it may not give, and nobody is shown to others before there are enough of them.

use trellis_proto::frame::{Hello, Nat};
use trellis_proto::{P2p, Ticket};

/// May who shows this ticket have a link at all?
pub fn links(ticket: &Ticket) -> bool {
    ticket.p2p != P2p::Off
}

/// Is one of so many viewers, itself among them, to be shown to the others?
pub fn shows(ticket: &Ticket, viewers: usize) -> bool {
    viewers >= usize::from(ticket.viewers_min)
}

/// A greeting as the cluster is to hear it. Who is not shown cannot be reached by anybody, so the edge alone serves it.
pub fn greeting(ticket: &Ticket, shown: bool, hello: Hello) -> Hello {
    let receive_only = hello.receive_only || ticket.p2p != P2p::On;
    let declared_bps = if receive_only { 0 } else { hello.declared_bps };
    let nat = if shown { hello.nat } else { Nat::Blocked };
    Hello { receive_only, declared_bps, nat, ..hello }
}
