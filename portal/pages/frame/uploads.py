"""Forms that take a small text file, which the browser sends."""

from __future__ import annotations

from typing import ClassVar

from django import forms


class TextFileForm(forms.Form):
    """`most_bytes` is what a file of this `kind`, such as "a plan", may have."""

    kind: ClassVar[str]
    most_bytes: ClassVar[int]

    file = forms.FileField(label="File")

    def text(self) -> str:
        """The file's text; raises ValueError saying what is wrong with it."""
        given = self.cleaned_data["file"]
        if given.size > self.most_bytes:
            raise ValueError(
                f"the file has {given.size:,} bytes; {self.kind} has at most {self.most_bytes:,}"
            )
        try:
            return str(given.read().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"the file is no UTF-8 text: byte {error.start} can't be read"
            ) from None
