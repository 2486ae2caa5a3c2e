"""The names that firewall rules use: protocols, services, ICMP types and macros, as PVE 9.2 knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# Written NAME=NUMBER. These are Debian's names; the numbers are valid in a rule, too.
_PROTOCOLS = """
    ip=0 hopopt=0 icmp=1 igmp=2 ggp=3 ipencap=4 st=5 tcp=6 egp=8 igp=9 pup=12 udp=17 hmp=20 xns-idp=22 rdp=27
    iso-tp4=29 dccp=33 xtp=36 ddp=37 idpr-cmtp=38 ipv6=41 ipv6-route=43 ipv6-frag=44 idrp=45 rsvp=46 gre=47 esp=50
    ah=51 skip=57 ipv6-icmp=58 ipv6-nonxt=59 ipv6-opts=60 rspf=73 vmtp=81 eigrp=88 ospf=89 ax.25=93 ipip=94
    etherip=97 encap=98 pim=103 ipcomp=108 vrrp=112 l2tp=115 isis=124 sctp=132 fc=133 mobility-header=135
    udplite=136 mpls-in-ip=137 manet=138 hip=139 shim6=140 wesp=141 rohc=142 ethernet=143 mptcp=262
"""

# Written NAME=PORT/PROTOCOLS. PVE takes the names in the first column of /etc/services and none of the aliases there.
_SERVICES = """
    tcpmux=1/tcp echo=7/tcp+udp discard=9/tcp+udp systat=11/tcp daytime=13/tcp+udp netstat=15/tcp qotd=17/tcp
    chargen=19/tcp+udp ftp-data=20/tcp ftp=21/tcp fsp=21/udp ssh=22/tcp telnet=23/tcp smtp=25/tcp time=37/tcp+udp
    whois=43/tcp tacacs=49/tcp+udp domain=53/tcp+udp bootps=67/udp bootpc=68/udp tftp=69/udp gopher=70/tcp
    finger=79/tcp http=80/tcp kerberos=88/tcp+udp iso-tsap=102/tcp acr-nema=104/tcp pop3=110/tcp
    sunrpc=111/tcp+udp auth=113/tcp nntp=119/tcp ntp=123/udp epmap=135/tcp netbios-ns=137/udp netbios-dgm=138/udp
    netbios-ssn=139/tcp imap2=143/tcp snmp=161/tcp+udp snmp-trap=162/tcp+udp cmip-man=163/tcp+udp
    cmip-agent=164/tcp+udp mailq=174/tcp xdmcp=177/udp bgp=179/tcp smux=199/tcp qmtp=209/tcp z3950=210/tcp
    ipx=213/udp ptp-event=319/udp ptp-general=320/udp pawserv=345/tcp zserv=346/tcp rpc2portmap=369/tcp+udp
    codaauth2=370/tcp+udp clearcase=371/udp ldap=389/tcp+udp svrloc=427/tcp+udp https=443/tcp+udp snpp=444/tcp
    microsoft-ds=445/tcp kpasswd=464/tcp+udp submissions=465/tcp saft=487/tcp isakmp=500/udp rtsp=554/tcp+udp
    nqs=607/tcp asf-rmcp=623/udp qmqp=628/tcp ipp=631/tcp ldp=646/tcp+udp exec=512/tcp biff=512/udp login=513/tcp
    who=513/udp shell=514/tcp syslog=514/udp printer=515/tcp talk=517/udp ntalk=518/udp route=520/udp
    gdomap=538/tcp+udp uucp=540/tcp klogin=543/tcp kshell=544/tcp dhcpv6-client=546/udp dhcpv6-server=547/udp
    afpovertcp=548/tcp nntps=563/tcp submission=587/tcp ldaps=636/tcp+udp tinc=655/tcp+udp silc=706/tcp
    kerberos-adm=749/tcp domain-s=853/tcp+udp rsync=873/tcp ftps-data=989/tcp ftps=990/tcp telnets=992/tcp
    imaps=993/tcp pop3s=995/tcp socks=1080/tcp proofd=1093/tcp rootd=1094/tcp openvpn=1194/tcp+udp
    rmiregistry=1099/tcp lotusnote=1352/tcp ms-sql-s=1433/tcp ms-sql-m=1434/udp ingreslock=1524/tcp
    datametrics=1645/tcp+udp sa-msg-port=1646/tcp+udp kermit=1649/tcp groupwise=1677/tcp l2f=1701/udp
    radius=1812/tcp+udp radius-acct=1813/tcp+udp cisco-sccp=2000/tcp nfs=2049/tcp+udp gnunet=2086/tcp+udp
    rtcm-sc104=2101/tcp+udp gsigatekeeper=2119/tcp gris=2135/tcp cvspserver=2401/tcp venus=2430/tcp+udp
    venus-se=2431/tcp+udp codasrv=2432/tcp+udp codasrv-se=2433/tcp+udp mon=2583/tcp+udp dict=2628/tcp
    f5-globalsite=2792/tcp gsiftp=2811/tcp gpsd=2947/tcp gds-db=3050/tcp icpv2=3130/udp isns=3205/tcp+udp
    iscsi-target=3260/tcp mysql=3306/tcp ms-wbt-server=3389/tcp nut=3493/tcp+udp distcc=3632/tcp daap=3689/tcp
    svn=3690/tcp suucp=4031/tcp sysrqd=4094/tcp sieve=4190/tcp epmd=4369/tcp remctl=4373/tcp f5-iquery=4353/tcp
    ntske=4460/tcp ipsec-nat-t=4500/udp iax=4569/udp mtn=4691/tcp radmin-port=4899/tcp sip=5060/tcp+udp
    sip-tls=5061/tcp+udp xmpp-client=5222/tcp xmpp-server=5269/tcp cfengine=5308/tcp mdns=5353/udp
    postgresql=5432/tcp freeciv=5556/tcp amqps=5671/tcp amqp=5672/tcp+sctp x11=6000/tcp x11-1=6001/tcp
    x11-2=6002/tcp x11-3=6003/tcp x11-4=6004/tcp x11-5=6005/tcp x11-6=6006/tcp x11-7=6007/tcp
    gnutella-svc=6346/tcp+udp gnutella-rtr=6347/tcp+udp redis=6379/tcp sge-qmaster=6444/tcp sge-execd=6445/tcp
    mysql-proxy=6446/tcp babel=6696/udp ircs-u=6697/tcp bbs=7000/tcp afs3-fileserver=7000/udp
    afs3-callback=7001/udp afs3-prserver=7002/udp afs3-vlserver=7003/udp afs3-kaserver=7004/udp
    afs3-volser=7005/udp afs3-bos=7007/udp afs3-update=7008/udp afs3-rmtsys=7009/udp font-service=7100/tcp
    http-alt=8080/tcp puppet=8140/tcp bacula-dir=9101/tcp bacula-fd=9102/tcp bacula-sd=9103/tcp xmms2=9667/tcp
    nbd=10809/tcp zabbix-agent=10050/tcp zabbix-trapper=10051/tcp amanda=10080/tcp dicom=11112/tcp hkp=11371/tcp
    db-lsp=17500/tcp dcap=22125/tcp gsidcap=22128/tcp wnn6=22273/tcp kerberos4=750/udp+tcp
    kerberos-master=751/udp+tcp passwd-server=752/udp krb-prop=754/tcp zephyr-srv=2102/udp zephyr-clt=2103/udp
    zephyr-hm=2104/udp iprop=2121/tcp supfilesrv=871/tcp supfiledbg=1127/tcp poppassd=106/tcp moira-db=775/tcp
    moira-update=777/tcp moira-ureg=779/udp spamd=783/tcp skkserv=1178/tcp predict=1210/udp rmtcfg=1236/tcp
    xtel=1313/tcp xtelw=1314/tcp zebrasrv=2600/tcp zebra=2601/tcp ripd=2602/tcp ripngd=2603/tcp ospfd=2604/tcp
    bgpd=2605/tcp ospf6d=2606/tcp ospfapi=2607/tcp isisd=2608/tcp fax=4557/tcp hylafax=4559/tcp munin=4949/tcp
    rplay=5555/udp nrpe=5666/tcp nsca=5667/tcp canna=5680/tcp syslog-tls=6514/tcp sane-port=6566/tcp ircd=6667/tcp
    zope-ftp=8021/tcp tproxy=8081/tcp omniorb=8088/tcp clc-build-daemon=8990/tcp xinetd=9098/tcp git=9418/tcp
    zope=9673/tcp webmin=10000/tcp kamanda=10081/tcp amandaidx=10082/tcp amidxtape=10083/tcp sgi-cmsd=17001/udp
    sgi-crsd=17002/udp sgi-gcd=17003/udp sgi-cad=17004/tcp binkp=24554/tcp asp=27374/tcp+udp csync2=30865/tcp
    dircproxy=57000/tcp tfido=60177/tcp fido=60179/tcp
"""

_ICMP_TYPES = """
    TOS-host-redirect TOS-host-unreachable TOS-network-redirect TOS-network-unreachable address-mask-reply
    address-mask-request any communication-prohibited destination-unreachable echo-reply echo-request
    fragmentation-needed host-precedence-violation host-prohibited host-redirect host-unknown host-unreachable
    ip-header-bad network-prohibited network-redirect network-unknown network-unreachable parameter-problem
    port-unreachable precedence-cutoff protocol-unreachable redirect required-option-missing router-advertisement
    router-solicitation source-quench source-route-failed time-exceeded timestamp-reply timestamp-request
    ttl-zero-during-reassembly ttl-zero-during-transit
"""

_ICMPV6_TYPES = """
    address-unreachable bad-header beyond-scope communication-prohibited destination-unreachable echo-reply
    echo-request failed-policy neighbor-advertisement neighbor-solicitation neighbour-advertisement
    neighbour-solicitation no-route packet-too-big parameter-problem port-unreachable redirect reject-route
    router-advertisement router-solicitation time-exceeded ttl-zero-during-reassembly ttl-zero-during-transit
    unknown-header-type unknown-option
"""

# Written NAME: PROTOCOL [DPORT] [from SPORT]; and so on for its other rules.
_MACROS = """
    Amanda: udp 10080; tcp 10080
    Auth: tcp 113
    BGP: tcp 179
    BitTorrent: tcp 6881:6889; udp 6881
    BitTorrent32: tcp 6881:6999; udp 6881
    CVS: tcp 2401
    Ceph: tcp 6789; tcp 3300; tcp 6800:7300
    Citrix: tcp 1494; udp 1604; tcp 2598
    DAAP: tcp 3689; udp 3689
    DCC: tcp 6277
    DHCPfwd: udp 67:68 from 67:68
    DHCPv6: udp 546:547 from 546:547
    DNS: udp 53; tcp 53
    Distcc: tcp 3632
    FTP: tcp 21
    Finger: tcp 79
    GNUnet: tcp 2086; udp 2086; tcp 1080; udp 1080
    GRE: 47
    Git: tcp 9418
    HKP: tcp 11371
    HTTP: tcp 80
    HTTPS: tcp 443
    ICPV2: udp 3130
    ICQ: tcp 5190
    IMAP: tcp 143
    IMAPS: tcp 993
    IPIP: 94
    IPsec: udp 500 from 500; 50
    IPsecah: udp 500 from 500; 51
    IPsecnat: udp 500; udp 4500; 50
    IRC: tcp 6667
    Jetdirect: tcp 9100
    L2TP: udp 1701
    LDAP: tcp 389
    LDAPS: tcp 636
    MDNS: udp 5353
    MSNP: tcp 1863
    MSSQL: tcp 1433
    Mail: tcp 25; tcp 465; tcp 587
    Munin: tcp 4949
    MySQL: tcp 3306
    NNTP: tcp 119
    NNTPS: tcp 563
    NTP: udp 123
    NeighborDiscovery: icmpv6 router-solicitation; icmpv6 router-advertisement; \
        icmpv6 neighbor-solicitation; icmpv6 neighbor-advertisement
    OSPF: 89
    OpenVPN: udp 1194
    PCA: udp 5632; tcp 5631
    PMG: tcp 8006
    POP3: tcp 110
    POP3S: tcp 995
    PPtP: 47; tcp 1723
    Ping: icmp echo-request
    PostgreSQL: tcp 5432
    Printer: tcp 515
    RDP: tcp 3389
    RIP: udp 520
    RNDC: tcp 953
    Razor: tcp 2703
    Rdate: tcp 37
    Rsync: tcp 873
    SANE: tcp 6566
    SMB: udp 135,445; udp 137:139; udp 1024:65535 from 137; tcp 135,139,445
    SMBswat: tcp 901
    SMTP: tcp 25
    SMTPS: tcp 465
    SNMP: udp 161:162; tcp 161
    SPAMD: tcp 783
    SPICEproxy: tcp 3128
    SSH: tcp 22
    SVN: tcp 3690
    SixXS: tcp 3874; udp 3740; 41; udp 5072,8374
    Squid: tcp 3128
    Submission: tcp 587
    Syslog: udp 514; tcp 514
    TFTP: udp 69
    Telnet: tcp 23
    Telnets: tcp 992
    Time: tcp 37
    Trcrt: udp 33434:33524; icmp echo-request
    VNC: tcp 5900:5999
    VNCL: tcp 5500
    Web: tcp 80; tcp 443
    Webcache: tcp 8080
    Webmin: tcp 10000
    Whois: tcp 43
"""

_MACROS_IPV6 = """
    Ping: icmpv6 echo-request
    Trcrt: udp 33434:33524; icmpv6 echo-request
"""

MacroRule = Mapping[str, str]  # any of proto, dport and sport; an ICMP type stands in dport


def _services(table: str) -> Iterator[tuple[str, dict[str, int]]]:
    for item in table.split():
        name, unused, where = item.rpartition("=")
        port, unused, protocols = where.partition("/")
        yield name, {protocol: int(port) for protocol in protocols.split("+")}


def _macros(table: str) -> Iterator[tuple[str, tuple[MacroRule, ...]]]:
    for line in table.strip().splitlines():
        name, unused, rules = line.strip().partition(": ")
        yield name, tuple(_macro_rule(rule) for rule in rules.split(";"))


def _macro_rule(text: str) -> MacroRule:
    target, unused, sport = text.strip().partition(" from ")
    proto, unused, dport = target.partition(" ")
    fields = {"proto": proto, "dport": dport, "sport": sport}
    return {name: value for name, value in fields.items() if value}


# Name -> number. PVE adds icmpv6 to what Debian has.
PROTOCOLS: Mapping[str, int] = {
    **{name: int(number) for name, unused, number in (item.partition("=") for item in _PROTOCOLS.split())},
    "icmpv6": 58,
}
# Name -> protocol -> port.
SERVICES: Mapping[str, Mapping[str, int]] = dict(_services(_SERVICES))
ICMP_TYPES = frozenset(_ICMP_TYPES.split())
ICMPV6_TYPES = frozenset(_ICMPV6_TYPES.split())
# As they are written in a rule; with any other protocol, a rule cannot have dport or sport (but ICMP types in dport).
PROTOCOLS_WITH_PORTS = frozenset({"tcp", "6", "udp", "17", "dccp", "33", "sctp", "132", "udplite", "136"})
# Name, in PVE's spelling -> the rules that it stands for; in an IPv6 rule those of MACROS_IPV6, where it is there.
MACROS: Mapping[str, tuple[MacroRule, ...]] = dict(_macros(_MACROS))
MACROS_IPV6: Mapping[str, tuple[MacroRule, ...]] = dict(_macros(_MACROS_IPV6))
# PVE takes these in IPv4 rules, too, where they do nothing.
IPV6_ONLY_MACROS = frozenset({"DHCPv6", "NeighborDiscovery"})

_SPELLINGS = {name.lower(): name for name in MACROS}


def canonical_macro(name: str) -> str | None:
    """Return PVE's spelling of a macro's name, given in any letter case; None if there is no such macro."""
    return _SPELLINGS.get(name.lower())
