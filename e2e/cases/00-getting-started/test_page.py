"""What judges the tutorial is judged first: it must refuse what is wrong."""

import pathlib
import tempfile
import unittest

import page

TABLE = """NAME        TENANT   HEALTHY   REASON          SINCE   READY   AGE
acme-news   acme     False     ManifestStale   12s     True    4m
"""


class Output(unittest.TestCase):
    def same(self, expected, real):
        self.assertIsNone(page.difference(expected, real))

    def differs(self, expected, real, *words):
        found = page.difference(expected, real)
        self.assertIsNotNone(found)
        for word in words:
            self.assertIn(word, found)

    def test_ages_and_the_width_of_columns_may_differ(self):
        self.same(TABLE, TABLE.replace("12s     True    4m", "3s    True   61m5s"))

    def test_times_addresses_and_suffixes_of_pods_may_differ(self):
        self.same("LAST DEPLOYED: Fri Nov 27 14:30:05 2026", "LAST DEPLOYED: Mon Jan  4 01:02:03 2027")
        self.same("since 2026-11-27T14:30:05Z at 10.96.0.1", "since 2027-01-04T01:02:03.25Z at 172.16.31.7")
        self.same("pod/practice-5c9f7bd8c4-x2wvz created", "pod/practice-7d8b49557f-9zkxm created")

    def test_another_word_is_refused(self):
        self.differs(TABLE, TABLE.replace("ManifestStale", "LicenseDenied"), "ManifestStale", "LicenseDenied")
        self.differs(TABLE, TABLE.replace("False", "True"))

    def test_a_word_in_place_of_an_age_is_refused(self):
        self.differs(TABLE, TABLE.replace("12s", "<unknown>"))

    def test_a_suffix_is_no_word(self):
        self.differs("pod/practice-5c9f7bd8c4-x2wvz", "pod/practice-monitoring-alarm")

    def test_a_line_less_or_more_is_refused(self):
        self.differs("one\ntwo\n", "one\n", "two")
        self.differs("one\n", "one\ntwo\n", "two")
        self.differs("", "something\n", "something")
        self.differs("something\n", "")

    def test_the_order_counts(self):
        self.differs("one\ntwo\n", "two\none\n")

    def test_an_ellipsis_stands_for_any_lines_and_for_none(self):
        self.same("one\n...\nfour\n", "one\ntwo\nthree\nfour\n")
        self.same("one\n...\nfour\n", "one\nfour\n")
        self.same("one\n...\n", "one\ntwo\n")
        self.differs("one\n...\nfour\n", "one\ntwo\n", "four")
        self.differs("one\n...\nfour\n", "one\nfour\nfive\n", "five")


class Page(unittest.TestCase):
    def refused(self, markdown, words):
        with self.assertRaisesRegex(page.Mistake, words):
            page.commands(markdown)

    def test_commands_have_their_output_and_their_marker(self):
        found = page.commands(
            "```sh\necho one\n```\ntext\n```text output\none\n```\n```text\na picture\n```\n"
            "```sh cluster=kind\nkind create cluster\n```\n```sh\ntrue\n```\n"
        )
        self.assertEqual(
            [(c.line, c.text, c.expected, c.marker) for c in found],
            [(1, "echo one\n", "one\n", None), (11, "kind create cluster\n", "", "cluster=kind"), (14, "true\n", "", None)],
        )

    def test_an_unknown_marker_is_refused(self):
        self.refused("```sh skip\nfalse\n```\n", "unknown marker 'skip'")

    def test_an_output_of_nothing_is_refused(self):
        self.refused("```text output\none\n```\n", "without a command")
        self.refused("```sh\ntrue\n```\n```text output\none\n```\n```text output\ntwo\n```\n", "without a command")

    def test_a_block_that_does_not_end_is_refused(self):
        self.refused("```sh\ntrue\n", "does not end")

    def test_a_quoted_file_must_say_so(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "a.yaml").write_text("one: 1\ntwo: 2\nthree: 3\n")
            page.quotes("```yaml file=a.yaml\ntwo: 2\nthree: 3\n```\n", root)
            with self.assertRaisesRegex(page.Mistake, "a.yaml does not hold"):
                page.quotes("```yaml file=a.yaml\none: 1\nthree: 3\n```\n", root)


class Run(unittest.TestCase):
    def command(self, text, expected, seconds=20):
        return page.run(page.Command(7, text, expected, None), pathlib.Path("/"), seconds)

    def test_both_streams_are_what_a_terminal_shows(self):
        self.command("echo one; echo two >&2", "one\ntwo\n")

    def test_a_command_that_fails_is_refused_though_another_follows(self):
        with self.assertRaisesRegex(page.Mistake, "line 7: exit status 1"):
            self.command("false\necho one\n", "one\n")

    def test_another_output_is_refused(self):
        with self.assertRaisesRegex(page.Mistake, "line 7: the output is not as the page says"):
            self.command("echo two", "one\n")

    def test_a_command_without_an_output_must_print_nothing(self):
        self.command("true", "")
        with self.assertRaises(page.Mistake):
            self.command("echo one", "")

    def test_a_command_that_does_not_end_is_given_up(self):
        with self.assertRaisesRegex(page.Mistake, "not done after 0.5 s"):
            self.command("echo one; exec sleep 30", "one\n", 0.5)


if __name__ == "__main__":
    unittest.main()
