"""The one question about cost that pages, exports and the API ask, and the one builder of its SQL.

`question` is what is asked, `statement` its SQL, `answers` what comes back. `runs` and `currency`
are what a question is about: allocation runs, and how their amounts become one currency.
"""
