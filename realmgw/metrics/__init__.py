"""What monitoring systems are told: metrics in the text formats of Prometheus and OpenMetrics.

Every part counts in plain integers and hands them in (`counts()`); nothing is counted here, and nothing on the hot path
knows of this room. All that was counted is a *tree*: names to numbers, or to trees. A *metric* is declared once, with
its name, kind, help, labels, and its *sources*: where in the tree its values are. A *scrape* reads the tree, looks up
what is declared, and writes it down, some at a time.

What the gateway is asked for is declared in `gateway`, `allocation` and `names`; what the other programs are, in
`others`.
"""
