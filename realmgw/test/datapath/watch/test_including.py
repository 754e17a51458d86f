"""Tests for `realmgw.datapath.watch.including`: which files are read; kernel tests have nft and the kernel itself."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.datapath import includes
from realmgw.datapath.watch import including
from realmgw.errors import PlatformError
from realmgw.test.config.test_schema import MINIMAL


class ReadTests(SynchronousTestCase):
    """The files of two layers."""

    def setUp(self) -> None:
        """Makes them."""
        self.layers = [Path(self.mktemp()) for _ in range(2)]
        for each in self.layers:
            (each / "nft.d").mkdir(parents=True)
        main = self.layers[1] / "realmgw.yaml"
        main.write_text(MINIMAL)
        self.settings = attrs.evolve(config.load(main), drop_ins=tuple(map(PurePath, self.layers)))

    def write(self, layer: int, name: str, content: bytes) -> Path:
        """A file of a layer."""
        path = self.layers[layer] / "nft.d" / name
        path.write_bytes(content)
        return path

    def test_by_name_and_the_later_layer_first(self) -> None:
        """What is hidden, or called otherwise, is none; the last line ends."""
        self.write(0, "b.nft", b"chain b { }")
        self.write(0, "a.nft", b"chain a { }\n\n")
        later = self.write(1, "b.nft", b"")
        self.write(0, "masked.nft", b"chain m { }")
        (self.layers[1] / "nft.d" / "masked.nft").symlink_to(os.devnull)
        for name in (".c.nft", "d.nft~", "e.conf"):
            self.write(0, name, b"}")
        good, problems = including.read(self.settings)
        self.assertEqual(
            [(Path(each.path).name, each.text) for each in good], [("a.nft", "chain a { }\n"), ("b.nft", "\n")]
        )
        self.assertEqual((good[1].path, problems), (str(later), []))

    def test_a_bad_one_disables_only_itself(self) -> None:
        """Half of a file, another program's text, what is no file, and what is too long."""
        half, text = self.write(0, "half.nft", b"chain c {\n"), self.write(0, "text.nft", b"chain c { }\n\xff")
        long = self.write(0, "long.nft", b"#" * (includes.MAX_FILE + 1))
        self.write(0, "good.nft", b"chain c { }")
        pipe = self.layers[0] / "nft.d" / "pipe.nft"
        os.mkfifo(pipe)
        (self.layers[0] / "nft.d" / "lost.nft").symlink_to("nowhere")
        good, problems = including.read(self.settings)
        self.assertEqual([Path(each.path).name for each in good], ["good.nft"])
        for path, what in ((half, "1:9: this '{'"), (text, "2:1: it is not UTF-8"), (long, "1:1: it has more than"),
                           (pipe, "1:1: ")):  # fmt: skip
            self.assertTrue(any(line.startswith(f"{path}:{what}") for line in problems), (path, problems))
        self.assertEqual(len(problems), 5)

    def test_all_together_have_a_bound(self) -> None:
        """In octets, and in number."""
        for number in range(includes.MAX_FILES + 2):
            self.write(0, f"{number:03}.nft", b"\n")
        good, problems = including.read(self.settings)
        self.assertEqual((len(good), len(problems)), (includes.MAX_FILES, 2))
        for number in range(includes.MAX_ALL // includes.MAX_FILE + 1):
            self.write(0, f"{number:03}.nft", b"#" * includes.MAX_FILE)
        good, problems = including.read(self.settings)
        self.assertLessEqual(sum(len(each.text) for each in good), includes.MAX_ALL + len(good))
        self.assertTrue(any("more than" in line for line in problems))

    def test_a_folder_that_can_not_be_read_is_not_an_empty_one(self) -> None:
        """What stood stays, as nothing is known of its files."""
        self.write(0, "a.nft", b"")
        (self.layers[1] / "nft.d").rmdir()
        (self.layers[1] / "nft.d").symlink_to("nft.d")
        self.assertRaises(PlatformError, including.read, self.settings)
        layer = PurePath("/", "x" * 300)  # a name that no file system takes stands for what the system refuses
        settings = attrs.evolve(self.settings, drop_ins=(layer,))
        self.assertIn(f"{layer} can not be read: ", str(self.assertRaises(PlatformError, including.read, settings)))

    def test_without_a_folder_there_is_nothing(self) -> None:
        """And nothing wrong with that."""
        settings = attrs.evolve(self.settings, drop_ins=(PurePath("/nonexistent"), PurePath(os.devnull)))
        self.assertEqual(including.read(settings), ([], []))
