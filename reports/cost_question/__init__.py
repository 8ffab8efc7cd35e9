"""The one question about cost that pages, exports and the API ask, and the one builder of its SQL.

`runs` is what a question is about, `question` what is asked, `statement` its SQL, and `answers`
what comes back.
"""
