"""The ends of domain names: which exist, and which are reserved so that they belong to nobody."""

RESERVED_DOMAINS = (
    *("example.com", "example.org", "example.net", "example.edu"),  # RFC 2606
    *("example", "test", "invalid", "localhost"),  # RFC 2606, RFC 6761
)

COUNTRIES = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg
ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi
gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw
ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng
ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn
so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws
ye yt za zm zw
"""
GENERIC = """
com org net edu gov mil int arpa info biz name pro aero asia cat coop jobs mobi museum post tel travel
academy africa agency app art bank berlin bio blog build business cafe capital care careers center chat city clinic
cloud club codes community company computer consulting design dev digital directory education email energy engineering
events expert express family farm finance fit foundation fun fund fyi gallery games global gmbh group guide health help
holdings hospital host house inc institute international kitchen land law legal life limited link live llc london ltd
management marketing media money network news nyc one online page paris partners photography photos pizza plus press
productions pub realty report rest restaurant rocks sale school science security services shop site social software
solutions space store studio support systems team tech technology tips today tools top tours town training university
ventures video vip wang website wiki win work works world xyz zone
test example invalid localhost local
"""
TOP_LEVEL = frozenset((COUNTRIES + GENERIC).split())
"""Countries (ISO 3166) and the generic ones in wide use. Most of the 1,400 that exist have next to no mail."""
