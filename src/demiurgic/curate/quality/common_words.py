"""The small words that stand in any text of a language, written down by hand, and the scripts of others."""

from collections.abc import Mapping

_WORDS: Mapping[str, str] = {
    "en": """
        the of and to a in is it you that he was for on are with as his they be at one have this from or had by but
        not what all were we when your can said there use an each which she do how their if will up other about out
        many then them these so some her would make like him into time has look two more write go see no way could
        people my than first been who its now find long down day did get come made may part i me am us our ours mine
        yours hers theirs because while where why again also any both few most such only own same too very just should
        must might shall after before between during through under over does doing done having being here those until
        upon within without against however therefore thus yes s t don ll re ve m d using used there given new well
        even still every much good need
    """,
    "de": """
        der die das und ist ein eine einer eines einem einen nicht ich du er sie es wir ihr zu den dem des von mit
        sich auf für im am an als auch aus bei nach wie dass oder wenn werden wird wurde wurden sind war waren hat
        haben hatte kann können noch nur so um über unter durch gegen ohne vor zwischen mehr sehr aber denn weil dann
        da hier dort was wer wo diese dieser dieses diesem diesen jede jeder jedes kein keine keinen mein meine sein
        seine seiner ihre ihrer ihren unser uns ihm ihn mir mich dir dich man schon immer wieder zum zur vom ins bis
        sowie sollte soll muss müssen
    """,
    "fr": """
        le la les un une des de du et est il elle ils elles on nous vous je tu ne pas que qui quoi dont où ce cet
        cette ces se sa son ses leur leurs mon ma mes ton ta tes notre nos votre vos au aux en dans par pour sur avec
        sans sous entre vers chez plus moins très aussi mais ou donc car comme si quand bien être avoir fait faire
        sont était étaient ont avait peut peuvent tout tous toute toutes même autre autres d l s n c j qu y été cela
        ça après avant
    """,
    "es": """
        el la los las un una unos unas de del y e o u que en a al con por para sin sobre entre hasta desde se su sus
        lo le les me te nos mi mis tu tus es son era eran fue fueron ser estar está están ha han había haber hay no sí
        más menos muy también pero como cuando donde quien cual cuales este esta estos estas ese esa eso esto aquel si
        porque todo todos toda todas otro otra otros otras puede pueden hacer tiene tienen ya así bien cada después
        antes
    """,
    "it": """
        il lo la i gli le un uno una di del dello della dei degli delle e ed o che chi cui non in nel nella nei nelle
        a al alla ai alle da dal dalla dai con per su sul sulla tra fra si ci ne se mi ti vi mio mia suo sua suoi sue
        loro noi voi lui lei è sono era erano essere stato stata ha hanno aveva avere può possono più meno molto anche
        ma come quando dove perché questo questa questi queste quello quella quelli tutto tutti tutta tutte altro
        altri altra così ancora già poi
    """,
    "pt": """
        o a os as um uma uns umas de do da dos das e ou que em no na nos nas num numa ao aos à às por pelo pela pelos
        pelas para com sem sobre entre até se seu sua seus suas lhe me te nos meu minha ele ela eles elas você vocês
        eu é são era eram foi foram ser estar está estão tem têm há havia não sim mais menos muito também mas como
        quando onde quem qual este esta isto esse essa isso aquele porque todo todos toda todas outro outra outros
        outras pode podem fazer já cada depois
    """,
    "nl": """
        de het een en van in is dat die te op zijn niet met voor aan er om als dan maar ook bij of uit naar door over
        tot onder tegen tussen zonder ik je jij hij zij ze we wij jullie u mij me hem haar hun ons onze mijn jouw uw
        dit deze wat wie waar hoe wanneer waarom was waren heeft hebben had hadden kan kunnen wordt worden werd werden
        zal zullen moet moeten meer veel zeer nog al wel geen alle alles andere elke want omdat nu hier daar toen zo
    """,
    "sv": """
        och att det som en ett är av för på med den till inte har de om var jag vi du han hon ni men så från kan när
        hur ska skulle eller sig sin sitt sina hade blir blev vara varit mot efter under över mellan utan vid genom
        där här då nu vad vem alla allt andra denna detta dessa mycket mer också bara någon något några ingen min mitt
        mina din hans hennes deras vår vårt våra dem dig mig oss in ut upp ner
    """,
    "pl": """
        i w z na do się nie to jest że o jak po co tak za od przez dla ale by był była było były być są ma mają może
        można czy już tylko jego jej ich ten ta te tego tej tym tych oraz lub albo a u ze we przy pod nad między bez
        jako który która które których gdy kiedy gdzie bardzo więcej mnie mi ty ja on ona ono oni my wy mój swój sobie
        wszystko jeszcze także
    """,
    "tr": """
        ve bir bu da de için ile ne o ki mi mı mu mü çok daha gibi en ben sen biz siz onlar var yok değil olan olarak
        oldu olur olduğu ama fakat veya ya her şey kadar sonra önce göre ise diye nasıl neden nerede kim hangi bana
        sana ona bize onun benim senin bizim kendi hiç bazı tüm bütün şu böyle iki üzerinde arasında içinde
    """,
    "id": """
        yang dan di ke dari untuk dengan pada adalah ini itu tidak akan dapat oleh sebagai dalam juga atau karena ada
        saya anda kami kita mereka dia ia bisa harus lebih sangat seperti telah sudah belum jika maka tetapi namun
        saat ketika agar bagi antara tentang setelah sebelum banyak semua setiap orang hal apa siapa bagaimana mengapa
        para secara
    """,
    "vi": """
        và của là có không được cho một những các trong với người này đó để khi thì đã sẽ đang bị từ ra vào lên xuống
        như về tôi bạn anh chị em chúng ta họ nó mình cũng nhưng hoặc hay nếu vì nên mà rất nhiều ít hơn nhất tại sao
        gì nào đâu ai phải làm cần thể còn lại đến theo trên dưới sau trước giữa
    """,
    "ru": """
        и в не на я что он с как это по но к из у за от так о же то все она они мы вы ты его её ее их ему ей им меня
        мне мой бы был была было были быть есть для при до или если когда где кто который которая которые которых
        только уже ещё еще очень также может можно нужно чтобы потому под над между без через после перед этого этом
        этой эти эта этот тот свой себя да нет во со об ни ли
    """,
    "uk": """
        і й та в у не на я що він з із як це по але до від за так про же то всі вона вони ми ви ти його її їх йому їй
        їм мене мені мій би був була було були бути є для при або чи якщо коли де хто який яка які яких тільки вже ще
        дуже також може можна треба щоб тому під над між без через після перед цього цьому цій ці ця цей той свій себе
    """,
    "bg": """
        и в на не да се е за от с по че как това са но или ще към при до като си го я ги му й ни ви ми ти аз той тя те
        ние вие бях беше бяха бъде може трябва има няма който която което които когато къде какво защо само още вече
        много повече също между през след преди под над без този тази тези онзи един една едно всички
    """,
    "el": """
        ο η το οι τα του της των τον την τους τις και να είναι που με για από σε στο στη στην στον στα δεν θα μας σας
        μου σου ως αλλά ή αν όταν πως πώς τι ποιος ένα μια ένας έχει έχουν ήταν αυτό αυτή αυτός αυτά κάθε πολύ πιο
        όπως μετά πριν
    """,
    "ar": """
        في من على إلى عن أن ان إن هذا هذه ذلك تلك التي الذي الذين ما لا لم لن قد كان كانت يكون هو هي هم نحن أنا انا
        أنت و أو او ثم كل بعض بين بعد قبل عند مع حتى إذا اذا لكن كما أي أيضا ليس كيف لماذا متى أين هل به بها له لها
        فيها فيه منها منه
    """,
    "fa": """
        و در به از که این آن را با است برای بود شد می ها یک بر تا خود هم نیز یا اما اگر چه هر همه بین بعد پس من تو او
        ما شما آنها دارد دارند شده کرد کرده باید چون بی نیست هستند باشد
    """,
    "hi": """
        के का की है में और से को हैं पर यह एक कि नहीं भी ने तो कर लिए हो था थी थे ही या जो वह इस उस अपने अपनी साथ बाद
        करने किया गया जा सकता सकते रहा रहे क्या कैसे क्यों कब कहाँ मैं हम आप वे मेरे उनके इसके बहुत अधिक कुछ सभी
    """,
}
COMMON_WORDS: Mapping[str, tuple[str, ...]] = {language: tuple(words.split()) for language, words in _WORDS.items()}

BY_SCRIPT: Mapping[str, tuple[str, ...]] = {
    "zh": ("han",),
    "ja": ("kana", "han"),
    "ko": ("hangul",),
    "th": ("thai",),
    "he": ("hebrew",),
}
"""Languages that are known by their script alone."""

SCRIPTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(COMMON_WORDS, ("latin",)),
    **dict.fromkeys(("ru", "uk", "bg"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa"), ("arabic",)),
    "el": ("greek",),
    "hi": ("devanagari",),
    **BY_SCRIPT,
}
"""The scripts each language is written in."""
