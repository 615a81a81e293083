"""zenpy drives the Zendesk of the tests: what a client made for the real one gets along with, is not only our own idea.

    drive.py HOST:PORT CA EXTERNAL-ID
"""

import sys

import requests
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Ticket
from zenpy.lib.exception import APIException, RecordNotFoundException

host, ca, external_id = sys.argv[1:]
grant = {"grant_type": "client_credentials", "client_id": "drmwatch", "client_secret": "zendesk-client-secret", "scope": "tickets:read"}
token = requests.post(f"https://{host}/oauth/tokens", json=grant, verify=ca, timeout=10).json()["access_token"]
session = requests.Session()
session.verify = ca
# A bundle that the environment names would go before it.
session.trust_env = False
# It insists on a name with a subdomain; an address has dots, too.
subdomain, domain = host.split(".", 1)
zenpy = Zenpy(subdomain=subdomain, domain=domain, oauth_token=token, session=session)

# What the bridge has made.
found = list(zenpy.tickets(external_id=external_id))
assert [t.external_id for t in found] == [external_id], found
ticket = found[0]
assert (ticket.status, ticket.type, ticket.priority) == ("new", "incident", "urgent"), ticket
assert "drmwatch" in ticket.tags and any(t.startswith("drmwatch-state-") for t in ticket.tags), ticket.tags
comments = list(zenpy.tickets.comments(ticket=ticket.id))
assert len(comments) == 1 and comments[0].public is False and "ProbeDown fires" in comments[0].body, comments
assert zenpy.users.me().role == "agent"
print("zenpy reads the bridge's ticket and its comment")

# What a person would do with it.
ticket.comment = Comment(body="I am on it.", public=False)
ticket.status = "open"
zenpy.tickets.update(ticket)
assert zenpy.tickets(id=ticket.id).status == "open"
assert len(list(zenpy.tickets.comments(ticket=ticket.id))) == 2
print("zenpy comments and changes the status")

made = zenpy.tickets.create(Ticket(subject="by zenpy", comment=Comment(body="hello", public=False), tags=["gold"]))
assert made.ticket.status == "new" and made.ticket.tags == ["gold"], made
try:
    zenpy.tickets.create(Ticket(subject="empty"))
    raise AssertionError("a ticket without a comment was taken")
except APIException as error:
    assert "RecordInvalid" in str(error), error
try:
    zenpy.tickets(id=1)
    raise AssertionError("a ticket that there is none of was found")
except RecordNotFoundException:
    pass
requests.put(f"https://{host}/admin/zendesk/close/{made.ticket.id}", verify=ca, timeout=10)
try:
    zenpy.tickets.update(Ticket(id=made.ticket.id, comment=Comment(body="too late")))
    raise AssertionError("a closed ticket was changed")
except APIException as error:
    assert "closed" in str(error), error
# Zendesk's own search is behind.
assert list(zenpy.search(type="ticket", external_id=external_id)) == []
print("zenpy is refused what Zendesk refuses")
