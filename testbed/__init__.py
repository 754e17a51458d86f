"""The testbed: a realm, its gateway, a router and the public Internet, in network namespaces of one machine.

Glossary. A *testbed* is four *namespaces* on veth pairs (`realm.topology`): `public`, where clients are, `router`,
`gwa`, where the gateway runs, and `test_gwa`, where every private host is an address of one interface. The *builder* is
the process that made a testbed; its *reaper* is a child process that takes the testbed down when the builder is gone,
whatever ended it. The *gateway* (`realm.gateway`) is the real program, run by twistd. A *host* answers with its own
private address (`realm.host`), so a *client* (`realm.client`) can tell whether a flow was *mis-delivered*: reached
another host than the one whose name was asked.
"""
