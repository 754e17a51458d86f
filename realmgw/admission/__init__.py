"""The first packet of a flow: it comes by NFQUEUE, is parsed, matched with the reservations, and gets a verdict and a mark."""
