"""HTTP only: parse a request, call one function, answer."""
