"""Drives a Zoho with Zoho's own Python SDK for CRM v7 or v8, unchanged, and tells what came of each step as one JSON line.

Told on stdin, as one JSON object: `accounts_url` and `api_url`, credentials, a `folder` for what the SDK keeps, and the
ids that the steps are about. Everything that the SDK understood goes to stdout; what it could not understand ends the
script with the SDK's own exception.
"""

import json
import os
import sys

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api import change_owner as owners
from zohocrmsdk.src.com.zoho.crm.api import mass_change_owner as view_owners
from zohocrmsdk.src.com.zoho.crm.api import tags as tag_api
from zohocrmsdk.src.com.zoho.crm.api.coql import BodyWrapper as Query
from zohocrmsdk.src.com.zoho.crm.api.coql import CoqlOperations
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.fields import FieldsOperations, GetFieldsParam
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    GetMassUpdateStatusParam,
    MassUpdateBodyWrapper,
    MassUpdateTerritory,
    Record,
    RecordOperations,
    SearchRecordsParam,
)
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

told = json.load(sys.stdin)
token_url = told["accounts_url"] + "/oauth/v2/token"
environment = DataCenter.Environment(told["api_url"], token_url, told["api_url"])


def initialize(name, **grant):
    """The SDK, with a token store and a resource folder of its own."""
    folder = os.path.join(told["folder"], name)
    os.makedirs(folder, exist_ok=True)
    token = OAuthToken(client_id=told["client_id"], client_secret=told["client_secret"], **grant)
    store = FileStore(os.path.join(folder, "tokens.csv"))
    Initializer.initialize(environment, token, store=store, resource_path=folder)
    return token


def plain(value):
    """A value of the SDK's, without its wrappers."""
    if isinstance(value, Choice):
        return value.get_value()
    if isinstance(value, Record):
        return {key: plain(inner) for key, inner in value.get_key_values().items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def say(step, response=None, **more):
    """One line; of a response its status and the class that the SDK took it for."""
    line = {"step": step, **more}
    if response is not None:
        line["status"] = response.get_status_code()
        shown = response.get_object()
        line["class"] = type(shown).__name__ if shown is not None else None
        if line["class"] == "APIException":
            line["error"] = told_of(shown)
    print(json.dumps(line), flush=True)


def told_of(entry):
    """What an entry of an answer says, be it a success or an error."""
    return {
        "class": type(entry).__name__,
        "status": plain(entry.get_status()),
        "code": plain(entry.get_code()),
        "message": plain(entry.get_message()),
        "details": plain(entry.get_details()),
    }


def parameters(**given):
    """A parameter map: `{Param: value}` in, the SDK's type out."""
    kinds = {
        "job_id": GetMassUpdateStatusParam.job_id,
        "module": GetFieldsParam.module,
        "criteria": SearchRecordsParam.criteria,
        "email": SearchRecordsParam.email,
        "fields": SearchRecordsParam.fields,
        "approved": SearchRecordsParam.approved,
        "page": SearchRecordsParam.page,
        "per_page": SearchRecordsParam.per_page,
    }
    numbers = ("page", "per_page")
    filled = ParameterMap()
    for name, value in given.items():
        filled.add(kinds[name], int(value) if name in numbers else value)
    return filled


def record(**values):
    """A record with these values."""
    made = Record()
    for name, value in values.items():
        made.add_key_value(name, value)
    return made


def mass_update(step, values, **selector):
    """A mass update of `ids`, or of a view."""
    request = MassUpdateBodyWrapper()
    request.set_data([record(**values)])
    if "ids" in selector:
        request.set_ids(selector["ids"])
    if "cvid" in selector:
        request.set_cvid(selector["cvid"])
    if "territory" in selector:
        territory = MassUpdateTerritory()
        territory.set_id(int(selector["territory"]))
        territory.set_include_child(True)
        request.set_territory(territory)
    if "over_write" in selector:
        request.set_over_write(selector["over_write"])
    response = RecordOperations(selector.get("module", "Leads")).mass_update_records(request)
    shown = response.get_object()
    entries = shown.get_data() if hasattr(shown, "get_data") else []
    say(step, response, entries=[told_of(entry) for entry in entries])
    return entries


def change_tags(step, operation, names, ids, over_write=None):
    """Adds or removes tags."""
    tags = []
    for name in names:
        tag = tag_api.Tag() if over_write is not None else tag_api.ExistingTag()
        tag.set_name(name)
        tags.append(tag)
    if over_write is None:
        request = tag_api.ExistingTagRequestWrapper()
    else:
        request = tag_api.NewTagRequestWrapper()
        request.set_over_write(over_write)
    request.set_tags(tags)
    request.set_ids([int(id) for id in ids])
    response = getattr(tag_api.TagsOperations(), operation)("Leads", request)
    shown = response.get_object()
    entries = shown.get_data() if hasattr(shown, "get_data") else []
    more = {"success_count": plain(shown.get_success_count())} if hasattr(shown, "get_success_count") else {}
    say(step, response, entries=[told_of(entry) for entry in entries], **more)


def change_owner(step, ids, owner):
    """Gives records another owner."""
    request, user = owners.MassWrapper(), owners.Owner()
    user.set_id(int(owner))
    request.set_ids([int(id) for id in ids])
    request.set_owner(user)
    request.set_notify(False)
    response = owners.ChangeOwnerOperations("Leads").mass_update(request)
    shown = response.get_object()
    entries = shown.get_data() if hasattr(shown, "get_data") else []
    say(step, response, entries=[told_of(entry) for entry in entries])


# A refresh.
token = initialize("refresh", refresh_token=told["refresh_token"])
say("token", user=token.get_user_signature().get_name(), api_domain=token.get_api_domain())

# What fields there are.
response = FieldsOperations().get_fields(parameters(module="Leads"))
fields = {field.get_api_name(): field for field in response.get_object().get_fields()}
source = fields["Lead_Source"]
houston = [o for o in source.get_pick_list_values() if o.get_display_value() == "Houston"][0]
say(
    "fields",
    response,
    count=len(fields),
    data_type=plain(source.get_data_type()),
    mass_update=source.get_mass_update(),
    actual_value=houston.get_actual_value(),
    email=fields["Email"].get_mass_update(),
)

# By ids: good ones, a mixed lot, and bad ones only.
mass_update("ids", {"Lead_Source": Choice("Webinar")}, ids=told["ids"])
mass_update("append", {"Topics": [Choice("CRM")]}, ids=told["ids"], over_write=False)
mass_update("over_write", {"Topics": [Choice("CRM"), Choice("Billing")]}, ids=told["ids"], over_write=True)
mass_update("mixed", {"City": "Bonn"}, ids=[told["ids"][0], "1"])
mass_update("all_failed", {"City": "Bonn"}, ids=["1", told["locked"]])

# By view and territory, and what became of it.
scheduled = mass_update("view", {"Lead_Status": Choice("Contacted")}, cvid=told["cvid"], territory=told["territory"])
job_id = plain(scheduled[0].get_details())["job_id"]
response = RecordOperations("Leads").get_mass_update_status(parameters(job_id=job_id))
job = response.get_object().get_data()[0]
say(
    "status",
    response,
    job_id=job_id,
    job=plain(job.get_status()),
    total=job.get_total_count(),
    sum=job.get_updated_count() + job.get_not_updated_count() + job.get_failed_count(),
)
mass_update("already", {"Lead_Status": Choice("Contacted")}, cvid=told["cvid"])
say("no_such_job", RecordOperations("Leads").get_mass_update_status(parameters(job_id="1")))

# Tags and owners.
change_tags("add_tags", "add_tags_to_multiple_records", ["Webinar", "Hot"], told["ids"], over_write=False)
change_tags("remove_tags", "remove_tags_from_multiple_records", ["Hot"], [told["ids"][0], told["locked"]])
change_owner("change_owner", told["ids"], told["owner"])
request, user = view_owners.BodyWrapper(), view_owners.Owner()
user.set_id(int(told["owner"]))
request.set_cvid(int(told["owner_cvid"]))
request.set_owner(user)
operations = view_owners.MassChangeOwnerOperations("Leads")
response = operations.change_owner(request)
entries = response.get_object().get_data()
say("mass_change_owner", response, entries=[told_of(entry) for entry in entries])
filled = ParameterMap()
filled.add(view_owners.CheckStatusParam.job_id, plain(entries[0].get_details())["job_id"])
response = operations.check_status(filled)
job = response.get_object().get_data()[0]
say(
    "owner_status",
    response,
    job=plain(job.get_status()),
    total=job.get_total_count(),
    sum=job.get_updated_count() + job.get_not_updated_count() + job.get_failed_count(),
)

# Look-ups.
for step, query in told["queries"].items():
    request = Query()
    request.set_select_query(query)
    response = CoqlOperations().get_records(request)
    shown = response.get_object()
    found = shown.get_data() if hasattr(shown, "get_data") else []
    say(step, response, found=[plain(one) for one in found])
for step, given in told["searches"].items():
    response = RecordOperations("Leads").search_records(parameters(**given))
    shown = response.get_object()
    found = shown.get_data() if hasattr(shown, "get_data") else []
    say(step, response, found=[plain(one.get_key_value("Email")) for one in found], ids=[str(one.get_id()) for one in found])

# Records, each with values of its own.
first, second = record(Email="new@example.com", Description="two\nlines"), record(Company="Ours")
first.set_id(int(told["ids"][0]))
second.set_id(1)
request = BodyWrapper()
request.set_data([first, second])
response = RecordOperations("Leads").update_records(request)
say("update", response, entries=[told_of(entry) for entry in response.get_object().get_data()])

# Records that are created, and found the next time.
for step in ("upsert", "upsert_again"):
    request = BodyWrapper()
    request.set_data([record(Email="created@example.com", City="Bonn", Last_Name="New", Company="Acme")])
    request.set_duplicate_check_fields(["Email"])
    response = RecordOperations("Leads").upsert_records(request)
    entries = response.get_object().get_data()
    actions = [[plain(entry.get_action()), plain(entry.get_duplicate_field())] for entry in entries]
    say(step, response, entries=[told_of(entry) for entry in entries], actions=actions)

# Refusals.
mass_update("not_allowed", {"Email": "a@example.com"}, ids=told["ids"])
mass_update("no_such_view", {"City": "Bonn"}, cvid="1")

# A grant code, once; then the end of its refresh token.
token = initialize("grant", grant_token=told["grant_code"])
say("grant", refresh_token=token.get_refresh_token() is not None)
try:
    initialize("again", grant_token=told["grant_code"])
except SDKException as refusal:
    say("grant_again", error=str(refusal))
say("revoked", done=token.revoke_refresh_token(token.get_refresh_token(), token_url + "/revoke"))
