"""Nations as texts name them: the country, its people, its short forms. What one form says, the others say too."""

from __future__ import annotations

import functools

_TABLE = """
Afghanistan Afghan|Albania Albanian|Algeria Algerian|Andorra Andorran|Angola Angolan|Argentina Argentine Argentinian|Armenia Armenian|Australia Australian
Austria Austrian|Azerbaijan Azerbaijani|Bahamas Bahamian|Bahrain Bahraini|Bangladesh Bangladeshi|Barbados Barbadian|Belarus Belarusian|Belgium Belgian
Belize Belizean|Benin Beninese|Bermuda Bermudian|Bhutan Bhutanese|Bolivia Bolivian|Botswana Motswana|Brazil Brazilian|Bulgaria Bulgarian
Burkina_Faso Burkinabe|Burundi Burundian|Cambodia Cambodian|Cameroon Cameroonian|Canada Canadian|Chad Chadian|Chile Chilean
China Chinese People's_Republic_of_China PRC|Chinese_Taipei Taiwan Taiwanese|Colombia Colombian|Costa_Rica Costa_Rican|Croatia Croatian Croat|Cuba Cuban
Cyprus Cypriot|Czech_Republic Czech Czechia|Denmark Danish Dane Danes|Dominican_Republic Dominican|Ecuador Ecuadorian|Egypt Egyptian|Eritrea Eritrean
Estonia Estonian|Eswatini Swazi|Ethiopia Ethiopian|Fiji Fijian|Finland Finnish Finn Finns|France French|Gabon Gabonese|Gambia Gambian|Georgia Georgian
Germany German Germans|Ghana Ghanaian|Great_Britain British United_Kingdom UK U.K. Team_GB Britain Briton Britons GB|Greece Greek|Grenada Grenadian
Guatemala Guatemalan|Guinea Guinean|Guyana Guyanese|Haiti Haitian|Honduras Honduran|Hong_Kong Hongkonger|Hungary Hungarian|Iceland Icelandic|India Indian
Indonesia Indonesian|Iran Iranian|Iraq Iraqi|Ireland Irish|Israel Israeli|Italy Italian|Ivory_Coast Ivorian Côte_d'Ivoire|Jamaica Jamaican|Japan Japanese
Jordan Jordanian|Kazakhstan Kazakhstani Kazakh|Kenya Kenyan|Kosovo Kosovar|Kuwait Kuwaiti|Kyrgyzstan Kyrgyz|Laos Laotian Lao|Latvia Latvian|Lebanon Lebanese
Liberia Liberian|Libya Libyan|Liechtenstein Liechtensteiner|Lithuania Lithuanian|Luxembourg Luxembourgish|Madagascar Malagasy|Malawi Malawian
Malaysia Malaysian|Maldives Maldivian|Mali Malian|Malta Maltese|Mauritania Mauritanian|Mauritius Mauritian|Mexico Mexican|Moldova Moldovan|Monaco Monegasque
Mongolia Mongolian|Montenegro Montenegrin|Morocco Moroccan|Mozambique Mozambican|Myanmar Burmese|Namibia Namibian|Nepal Nepalese Nepali
Netherlands Dutch Holland|New_Zealand New_Zealander Kiwi|Nicaragua Nicaraguan|Niger Nigerien|Nigeria Nigerian|North_Korea North_Korean DPRK
North_Macedonia Macedonian|Norway Norwegian|Oman Omani|Pakistan Pakistani|Palestine Palestinian|Panama Panamanian|Paraguay Paraguayan|Peru Peruvian
Philippines Filipino Philippine|Poland Polish Pole Poles|Portugal Portuguese|Puerto_Rico Puerto_Rican|Qatar Qatari|ROC Russian_Olympic_Committee Russia Russian
Romania Romanian|Rwanda Rwandan|Samoa Samoan|San_Marino Sammarinese|Saudi_Arabia Saudi|Senegal Senegalese|Serbia Serbian Serb|Seychelles Seychellois
Sierra_Leone Sierra_Leonean|Singapore Singaporean|Slovakia Slovak Slovakian|Slovenia Slovenian Slovene|Somalia Somali|South_Africa South_African
South_Korea South_Korean Republic_of_Korea|South_Sudan South_Sudanese|Spain Spanish Spaniard|Sri_Lanka Sri_Lankan|Sudan Sudanese|Suriname Surinamese
Sweden Swedish Swede Swedes|Switzerland Swiss|Syria Syrian|Tajikistan Tajik|Tanzania Tanzanian|Thailand Thai|Togo Togolese|Tonga Tongan
Trinidad_and_Tobago Trinidadian|Tunisia Tunisian|Turkey Turkish Turk Türkiye|Turkmenistan Turkmen|Uganda Ugandan|Ukraine Ukrainian
United_Arab_Emirates Emirati UAE|United_States American US USA U.S. U.S.A. United_States_of_America America Americans|Uruguay Uruguayan
Uzbekistan Uzbek Uzbekistani|Vanuatu Ni-Vanuatu|Venezuela Venezuelan|Vietnam Vietnamese|Yemen Yemeni|Zambia Zambian|Zimbabwe Zimbabwean
"""
NATIONS: tuple[tuple[str, ...], ...] = tuple(
    tuple(form.replace("_", " ") for form in entry.split()) for line in _TABLE.strip().splitlines() for entry in line.split("|")
)
"""Each nation as (country, people, further forms …)."""


@functools.cache
def _by_form() -> dict[str, tuple[str, ...]]:
    return {form.casefold(): nation for nation in NATIONS for form in nation}


def nation_of(name: str) -> tuple[str, ...]:
    """Return all forms of the nation that a name means, the country first; nothing if it means none."""
    return _by_form().get(name.strip().removeprefix("the ").removeprefix("The ").casefold(), ())
