"""What the gateway and the repository write down: which events, in what form, and where to.

An *event* is what twisted.logger makes of a call: a mapping with a level, a namespace (the module that told it) and a
text with holes. A *line* is what becomes of it. A *storm* is more events of one kind than anybody reads.
"""
