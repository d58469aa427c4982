"""Does the stand-in Exchange behave as its README says? Run against a lab, with a client that we did not write (PyPI pypsrp):

    python3 -m venv v && v/bin/pip install pypsrp==0.9.1
    eval "$(scripts/lab env bench)"; v/bin/python lab/exchange/check.py

It changes recipients of that lab: reset it afterwards.
"""

import os
import sys
import time

import requests
from pypsrp.complex_objects import ObjectMeta
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan

CA, URL, LAB = os.environ["EXCHANGE_CA_FILE"], os.environ["EXCHANGE_URL"], os.environ["EXCHANGE_LAB_URL"]
failed = 0


def check(what, fine, seen=""):
    global failed
    if not fine:
        failed += 1
    print(f"{'ok  ' if fine else 'FAIL'} {what}{'' if fine else f': {seen}'}", flush=True)


def pool(name="Microsoft.Exchange", auth="basic", **more):
    host, port = URL.split("/")[2].split(":")
    secret = open(os.environ["EXCHANGE_PASSWORD_FILE"]).read().strip()
    wsman = WSMan(host, operation_timeout=2, read_timeout=30, port=int(port), path="PowerShell/", ssl=True, cert_validation=CA, auth=auth, username=os.environ["EXCHANGE_USER"], password=secret, **more)
    return RunspacePool(wsman, configuration_name=name)


class Answer:
    def __init__(self, shell, name, parameters):
        runner = PowerShell(shell)
        runner.add_cmdlet(name)
        for key, value in parameters.items():
            runner.add_parameter(key, value)
        self.thrown, objects = None, []
        try:
            objects = runner.invoke()
        except Exception as error:
            self.thrown = error
        self.objects = [one.extended_properties if hasattr(one, "extended_properties") else one for one in objects]
        self.errors = [one.reason for one in runner.streams.error]
        self.messages = [str(one) for one in runner.streams.error]
        self.warnings = [one.message for one in runner.streams.warning]
        self.streams = runner.streams

    def __getitem__(self, name):
        return self.objects[0][name] if self.objects else None

    def __str__(self):
        return f"{self.objects} {self.messages} {self.warnings} {self.thrown}"


def on_premises():
    with pool() as shell:
        def run(cmdlet, **parameters):
            return Answer(shell, cmdlet, parameters)

        def fails(what, reason, cmdlet, **parameters):
            got = run(cmdlet, **parameters)
            check(f"{what}: {reason}", got.errors == [reason], got)

        def does(what, cmdlet, **parameters):
            got = run(cmdlet, **parameters)
            check(what, not got.errors and got.thrown is None, got)
            return got

        who = "temp07"
        got = does("streams", "Test-TenureStreams", Count=25)
        check("all streams came", len(got.objects) == 25 and got.streams.verbose and got.streams.debug and got.streams.information and len(got.streams.progress) == 3 and got.warnings, got)
        began = time.monotonic()
        does("a slow cmdlet", "Test-TenureEcho", Text="slow", DelayMilliseconds=3000)
        check("waited", time.monotonic() - began >= 3)
        shell.exchange_keys()
        got = does("echo", "Test-TenureEcho", Text="ß😀", Secret=shell.serialize("sé😀", ObjectMeta("SS")))
        check("echo text", got.objects[0]["Utf16"] == "ß😀".encode("utf-16-le").hex() and got.objects[1]["Utf8"] == "sé😀".encode().hex(), got)
        fails("unknown cmdlet", "CommandNotFoundException", "Get-Bogus")
        fails("unknown parameter", "ParameterBindingException", "Get-Mailbox", Bogus=1)
        fails("Confirm on a Get", "ParameterBindingException", "Get-Mailbox", Confirm=False)
        fails("nobody", "ManagementObjectNotFoundException", "Get-Mailbox", Identity="nobody@example.com")
        fails("two Thomas Müllers", "ManagementObjectAmbiguousException", "Get-User", Identity="Thomas Müller")
        check("mailboxes", len(does("all", "Get-Mailbox", ResultSize="Unlimited").objects) > 35)
        got = does("enable", "Enable-Mailbox", Identity=who, DomainController="dc1.corp.example.com")
        check("address by the policy", got["PrimarySmtpAddress"] == "temp.seven@example.com", got["PrimarySmtpAddress"])
        guid = got["Guid"]
        fails("enable again", "RecipientTaskException", "Enable-Mailbox", Identity=who)
        check("by GUID", does("by GUID", "Get-Mailbox", Identity=str(guid))["Guid"] == guid)
        check("by mailbox GUID", does("by mailbox GUID", "Get-Mailbox", Identity=str(got["ExchangeGuid"]))["Guid"] == guid)
        check("by DN", does("by DN", "Get-Mailbox", Identity=got["DistinguishedName"])["Guid"] == guid)
        check("by canonical name", does("by canonical name", "Get-Mailbox", Identity=got["Identity"])["Guid"] == guid)
        does("quotas", "Set-Mailbox", Identity=who, IssueWarningQuota="49GB", ProhibitSendQuota="49.5 GB", ProhibitSendReceiveQuota="50 GB (53,687,091,200 bytes)", UseDatabaseQuotaDefaults=False)
        got = does("quotas read", "Get-Mailbox", Identity=who)
        check("quota text", got["ProhibitSendQuota"] == "49.5 GB (53,150,220,288 bytes)" and got["UseDatabaseQuotaDefaults"] is False, got["ProhibitSendQuota"])
        fails("quota order", "DataValidationException", "Set-Mailbox", Identity=who, IssueWarningQuota="60GB")
        does("alias added", "Set-Mailbox", Identity=who, EmailAddresses={"Add": ["smtp:seven@example.com"]})
        fails("address of another", "ProxyAddressExistsException", "Set-Mailbox", Identity=who, EmailAddresses={"Add": ["smtp:invoices@example.com"]})
        fails("both kinds of addresses", "RecipientTaskException", "Set-Mailbox", Identity=who, EmailAddresses={"Add": ["x@example.com"]}, PrimarySmtpAddress="y@example.com")
        fails("policy in force", "RecipientTaskException", "Set-Mailbox", Identity=who, PrimarySmtpAddress="t.seven@example.com")
        does("primary without policy", "Set-Mailbox", Identity=who, PrimarySmtpAddress="t.seven@example.com", EmailAddressPolicyEnabled=False)
        got = does("addresses read", "Get-Mailbox", Identity="seven@example.com")
        check("addresses", sorted(got["EmailAddresses"]) == ["SMTP:t.seven@example.com", "smtp:seven@example.com", "smtp:temp.seven@example.com"], got["EmailAddresses"])
        does("alias removed", "Set-Mailbox", Identity=who, EmailAddresses={"Remove": ["smtp:seven@example.com"]})
        does("hidden, forwarded, on hold", "Set-Mailbox", Identity=who, HiddenFromAddressListsEnabled=True, ForwardingAddress="invoices@example.com", DeliverToMailboxAndForward=True, LitigationHoldEnabled=True, LitigationHoldDuration="30")
        got = does("read", "Get-Mailbox", Identity=who)
        check("values", got["HiddenFromAddressListsEnabled"] and got["ForwardingAddress"] == "corp.example.com/Mail/Invoices" and got["LitigationHoldEnabled"] and got["LitigationHoldDuration"] == "30.00:00:00", got)
        check("no change warns", bool(does("no change", "Set-Mailbox", Identity=who, HiddenFromAddressListsEnabled=True).warnings))
        does("on behalf", "Set-Mailbox", Identity="invoices", GrantSendOnBehalfTo={"Add": [who]})
        check("on behalf read", does("read", "Get-Mailbox", Identity="invoices")["GrantSendOnBehalfTo"] == ["corp.example.com/Staff/Rotterdam/Temp Seven"])
        does("archive", "Enable-Mailbox", Identity=who, Archive=True)
        check("archive read", does("read", "Get-Mailbox", Identity=who)["ArchiveStatus"] == "Active")
        does("full access", "Add-MailboxPermission", Identity="invoices", User=who, AccessRights=["FullAccess"], AutoMapping=True)
        check("again warns", bool(does("again", "Add-MailboxPermission", Identity="invoices", User=who, AccessRights=["FullAccess"]).warnings))
        got = does("permissions", "Get-MailboxPermission", Identity="invoices")
        check("inherited ones and ours", any(one["IsInherited"] for one in got.objects) and any(one["User"] == "CORP\\temp07" and not one["IsInherited"] for one in got.objects), got)
        does("taken away", "Remove-MailboxPermission", Identity="invoices", User=who, AccessRights=["FullAccess"], Confirm=False)
        check("absent is a warning", bool(does("absent", "Remove-MailboxPermission", Identity="invoices", User=who, AccessRights=["FullAccess"], Confirm=False).warnings))
        does("send as", "Add-ADPermission", Identity="invoices", User=who, ExtendedRights=["Send As"])
        check("send as read", len(does("read", "Get-ADPermission", Identity="invoices", User=who).objects) == 1)
        does("send as away", "Remove-ADPermission", Identity="invoices", User=who, ExtendedRights=["Send As"], Confirm=False)
        german = next(one["PrimarySmtpAddress"] for one in does("all", "Get-Mailbox", ResultSize="Unlimited").objects if one["Office"] == "Hamburg")
        got = does("calendar's name", "Get-MailboxFolderStatistics", Identity=german, FolderScope="Calendar")
        check("localised", [one["Name"] for one in got.objects if one["FolderType"] == "Calendar"] == ["Kalender"], got)
        fails("English name", "ManagementObjectNotFoundException", "Get-MailboxFolderPermission", Identity=f"{german}:\\Calendar")
        does("folder", "Add-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who, AccessRights=["Reviewer"])
        fails("folder again", "UserAlreadyExistsInPermissionEntryException", "Add-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who, AccessRights=["Editor"])
        does("folder set", "Set-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who, AccessRights=["Editor"])
        got = does("folder read", "Get-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who)
        check("folder rights", list(got["AccessRights"]) == ["Editor"], got)
        does("folder away", "Remove-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who, Confirm=False)
        fails("folder away again", "UserNotFoundInPermissionEntryException", "Remove-MailboxFolderPermission", Identity=f"{german}:\\Kalender", User=who, Confirm=False)
        does("automatic reply", "Set-MailboxAutoReplyConfiguration", Identity=who, AutoReplyState="Enabled", InternalMessage="Fort", ExternalMessage="Away", ExternalAudience="Known")
        got = does("automatic reply read", "Get-MailboxAutoReplyConfiguration", Identity=who)
        check("automatic reply", got["AutoReplyState"] == "Enabled" and "Fort" in got["InternalMessage"], got)
        does("calendar processing", "Set-CalendarProcessing", Identity="room.alster", AutomateProcessing="AutoAccept", BookingWindowInDays=90, ResourceDelegates=[who])
        check("calendar processing read", does("read", "Get-CalendarProcessing", Identity="room.alster")["BookingWindowInDays"] == 90)
        does("list", "New-DistributionGroup", Name="Checkers, all", Alias="checkers", ManagedBy=["kbrandt"], Members=["abello"], OrganizationalUnit="OU=Mail,DC=corp,DC=example,DC=com")
        fails("list again", "ADObjectAlreadyExistsException", "New-DistributionGroup", Name="Checkers, all", Alias="checkers2", OrganizationalUnit="OU=Mail,DC=corp,DC=example,DC=com")
        fails("not its manager", "OperationRequiresGroupManagerException", "Add-DistributionGroupMember", Identity="checkers", Member=who)
        does("member", "Add-DistributionGroupMember", Identity="checkers", Member=who, BypassSecurityGroupManagerCheck=True)
        fails("member again", "MemberAlreadyExistsException", "Add-DistributionGroupMember", Identity="checkers", Member=who, BypassSecurityGroupManagerCheck=True)
        check("members", len(does("members", "Get-DistributionGroupMember", Identity="checkers").objects) == 2)
        does("member away", "Remove-DistributionGroupMember", Identity="checkers", Member=who, BypassSecurityGroupManagerCheck=True, Confirm=False)
        fails("member away again", "MemberNotFoundException", "Remove-DistributionGroupMember", Identity="checkers", Member=who, BypassSecurityGroupManagerCheck=True, Confirm=False)
        does("list set", "Set-DistributionGroup", Identity="checkers", ModerationEnabled=True, ModeratedBy=[who], AcceptMessagesOnlyFromSendersOrMembers=["board", who], BypassSecurityGroupManagerCheck=True)
        got = does("list read", "Get-DistributionGroup", Identity="checkers")
        check("list values", got["ModerationEnabled"] and len(got["AcceptMessagesOnlyFromSendersOrMembers"]) == 2, got)
        does("list gone", "Remove-DistributionGroup", Identity="checkers", BypassSecurityGroupManagerCheck=True, Confirm=False)
        does("dynamic", "New-DynamicDistributionGroup", Name="Dyn", RecipientFilter="Department -eq 'Finance'")
        check("dynamic read", does("read", "Get-DynamicDistributionGroup", Identity="dyn")["RecipientFilter"] == "Department -eq 'Finance'")
        does("dynamic gone", "Remove-DynamicDistributionGroup", Identity="dyn", Confirm=False)
        got = does("shared mailbox", "New-Mailbox", Name="Parcels", Shared=True, OrganizationalUnit="corp.example.com/Mail")
        check("shared", got["RecipientTypeDetails"] == "SharedMailbox" and got["PrimarySmtpAddress"] == "Parcels@example.com", got)
        does("renamed", "Set-Mailbox", Identity="parcels", Name="Parcels, all")
        check("the new name", does("read", "Get-Mailbox", Identity="parcels")["Identity"] == "corp.example.com/Mail/Parcels, all")
        does("convert", "Set-Mailbox", Identity="parcels", Type="Room")
        check("converted", does("read", "Get-Mailbox", Identity="parcels")["RecipientTypeDetails"] == "RoomMailbox")
        does("removed", "Remove-Mailbox", Identity="parcels", Confirm=False)
        got = does("remote", "Enable-RemoteMailbox", Identity="lmarsh", RemoteRoutingAddress="lmarsh@example.mail.onmicrosoft.com", DomainController="dc1.corp.example.com")
        check("remote values", got["RecipientTypeDetails"] == "RemoteUserMailbox" and got["RemoteRoutingAddress"] == "SMTP:lmarsh@example.mail.onmicrosoft.com", got)
        fails("a remote one is no mailbox", "ManagementObjectNotFoundException", "Set-Mailbox", Identity="lmarsh", HiddenFromAddressListsEnabled=True)
        does("remote set", "Set-RemoteMailbox", Identity="lmarsh", HiddenFromAddressListsEnabled=True)
        does("remote off", "Disable-RemoteMailbox", Identity="lmarsh", Confirm=False)
        fails("on hold", "RecipientTaskException", "Disable-Mailbox", Identity=who, Confirm=False)
        does("off hold", "Set-Mailbox", Identity=who, LitigationHoldEnabled=False)
        does("disable", "Disable-Mailbox", Identity=who, Confirm=False)
        fails("gone", "ManagementObjectNotFoundException", "Get-Mailbox", Identity=who)
        got = does("disconnected", "Get-MailboxStatistics", Database="DB01")
        gone = [one for one in got.objects if one["DisconnectReason"] == "Disabled" and one["DisplayName"] == "Temp Seven"]
        check("it is there", len(gone) == 1, got)
        does("connect", "Connect-Mailbox", Identity=str(gone[0]["MailboxGuid"]), Database="DB01", User=who)
        check("the same mailbox", does("read", "Get-Mailbox", Identity=who)["ExchangeGuid"] == gone[0]["MailboxGuid"])
        does("filter", "Get-Mailbox", Filter="DisplayName -like 'Temp*' -and RecipientTypeDetails -eq 'UserMailbox'")
        for cmdlet in ("Get-MailboxDatabase", "Get-OrganizationConfig", "Get-AcceptedDomain", "Get-EmailAddressPolicy", "Get-Recipient", "Get-User", "Get-RemoteMailbox", "Get-DistributionGroup"):
            check(cmdlet, bool(does(cmdlet, cmdlet).objects))
    wire()


def faults(*wanted):
    requests.post(f"{LAB}/faults", json={"next": list(wanted)}, verify=CA, timeout=10).raise_for_status()


def wire():
    with pool() as shell:
        runner = PowerShell(shell)
        runner.add_script("1 + 1")
        try:
            runner.invoke()
            check("a script is refused", any("no-language" in str(one) for one in runner.streams.error), runner.streams.error)
        except Exception as error:
            check("a script is refused", "no-language" in str(error), error)
    try:
        pool("Microsoft.PowerShell").open()
        check("another resource is refused", False)
    except WSManFaultError as fault:
        check("another resource is refused", fault.code == 2150858811, fault)
    shells = []
    try:
        for _ in range(19):
            shells.append(pool())
            shells[-1].open()
        check("the nineteenth shell", False)
    except WSManFaultError as fault:
        check("the nineteenth shell", "not be approved for at least 30000 milliseconds" in str(fault), fault)
    for one in shells[:18]:
        one.close()
    shell = pool()
    shell.open()
    faults({"on": "Receive", "do": "lose-shell"})
    got = Answer(shell, "Get-OrganizationConfig", {})
    check("a lost shell", isinstance(got.thrown, WSManFaultError) and got.thrown.code == 2150858843, got)
    requests.delete(f"{LAB}/calls", verify=CA, timeout=10)
    with pool() as shell:
        faults({"on": "Command", "cmdlet": "Set-Mailbox", "do": "cut-after"})
        got = Answer(shell, "Set-Mailbox", {"Identity": "invoices", "DisplayName": "Invoices (cut)"})
        check("cut after", got.thrown is not None, got)
    calls = requests.get(f"{LAB}/calls", verify=CA, timeout=10).json()
    check("and done", [one["cmdlet"] for one in calls] == ["Set-Mailbox"] and calls[0]["error"] is None, calls)
    with pool() as shell:
        check("really", Answer(shell, "Get-Mailbox", {"Identity": "invoices"})["DisplayName"] == "Invoices (cut)")
        faults({"on": "Command", "cmdlet": "Set-Mailbox", "do": "cut"})
        Answer(shell, "Set-Mailbox", {"Identity": "invoices", "DisplayName": "Invoices"})
    with pool() as shell:
        check("cut before", Answer(shell, "Get-Mailbox", {"Identity": "invoices"})["DisplayName"] == "Invoices (cut)")
        faults({"on": "Run", "cmdlet": "Get-Mailbox", "do": "error", "type": "Microsoft.Exchange.Data.Directory.ADTransientException", "message": "later"})
        got = Answer(shell, "Get-Mailbox", {"Identity": "invoices"})
        check("an error on demand", got.errors == ["ADTransientException"] and not got.objects, got)
    faults({"on": "Create", "do": "throttle", "ms": 1500})
    try:
        pool().open()
        check("throttled", False)
    except WSManFaultError as fault:
        check("throttled", "at least 1500 milliseconds" in str(fault), fault)
    answer = requests.post(URL, data=b"<x/>", auth=("CORP\\svc-exchange", "wrong"), headers={"Content-Type": "application/soap+xml"}, verify=CA, timeout=10)
    check("a wrong password", answer.status_code == 401 and "Basic" in answer.headers["WWW-Authenticate"], answer.status_code)


if __name__ == "__main__":
    began = time.monotonic()
    on_premises()
    try:
        from check_online import online
    except ImportError:
        online = None
    if online:
        online(check, faults)
    print(f"{failed} failed, {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed else 0)
