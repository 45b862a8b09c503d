"""Where the paraphrase limits of negatives/verify.py stand: python scripts/bench_paraphrases.py

Forty-eight facts, written for this. Of each: a question, its answer, the evidence, the same fact in other words (a plant: it answers, and
must be refused) and a sentence on the same matter that lacks it (a true negative: it should pass). No form of the answer stands in a plant,
so that meaning alone can find it. Printed: for each limit, how many plants are refused, and how many true negatives with them.
"""

from __future__ import annotations

from pipeline.negatives.pool import Asked
from pipeline.negatives.verify import PARAPHRASE, PARAPHRASE_OF_DESCRIPTION, by_meaning, by_rules, is_name_or_number
from pipeline.records import QA, Rejected, Section
from pipeline.retrieval.minilm import MiniLM

LIMITS = tuple(n / 100 for n in range(60, 97, 3))
DESCRIPTIONS = """
Why was the marathon moved to Sapporo?|because of fears about the heat|The marathon was moved to Sapporo because of fears about the heat.|Organisers took the marathon north to Sapporo, since Tokyo in August seemed too hot to run in.|The marathon in Sapporo was followed by many people who lined the streets in spite of a request to stay at home.
Why did the final begin an hour late?|a storm had flooded the course|The final began an hour late because a storm had flooded the course.|Heavy rain left the track under water, and so the last race was put off by sixty minutes.|The final began after the ceremony, and an hour later all medals of the day had been handed over.
How did the team qualify for the Games?|by winning the continental tournament|The team qualified for the Games by winning the continental tournament.|Victory in the championship of its continent earned the team its place at the Games.|The team named twelve players for the Games and travelled a week before the tournament began.
Why was the champion stripped of her medal?|she had tested positive for a banned substance|The champion was stripped of her medal because she had tested positive for a banned substance.|She lost her gold after a doping control found a forbidden drug in her blood.|The champion received her medal from the president and wore it on the flight home.
What did the federation change about the rules?|boats may start with a lighter keel|The federation changed the rules so that boats may start with a lighter keel.|Under the new regulations, vessels are allowed to race carrying less weight below the hull.|The federation published its rules for boats in three languages and sent them to all clubs.
Why did the swimmer not start in the final?|an injured shoulder|The swimmer did not start in the final because of an injured shoulder.|Having hurt his upper arm, he had to give up his place in the deciding race.|The swimmer reached the final as the fastest of the heats and was the crowd's favourite.
What made the course difficult?|steep climbs in the first half|Steep climbs in the first half made the course difficult.|Riders struggled, for the road rose sharply until the midpoint.|The course was open to the public on the day before and was repaired in the first half of the year.
Why were spectators not admitted?|the number of infections was rising|Spectators were not admitted because the number of infections was rising.|The stands stayed empty as more and more people fell ill with the virus.|Spectators who had bought a ticket got their money back within two months.
How is the winner decided after a tie?|by a sudden-death shot|After a tie the winner is decided by a sudden-death shot.|If both have equal points, one more arrow settles it, and the better one takes all.|The winner is announced at once, and after the ceremony the bows are inspected by judges.
Why was the stadium torn down?|building it anew was cheaper than repairs|The stadium was torn down because building it anew was cheaper than repairs.|Mending the old arena would have cost more than putting up a fresh one, so it was demolished.|The stadium was built within three years and has room for sixty thousand people.
What did the skipper do after the race?|he thanked the rescue crew|After the race the skipper thanked the rescue crew.|The captain expressed his gratitude to the men who had saved them when all was over.|After the race the skipper sailed back to the harbour with the rest of the crew.
Why did the country boycott the Games?|in protest at the invasion|The country boycotted the Games in protest at the invasion.|It stayed away to show its anger over the troops that had marched into its neighbour.|The country sent forty athletes to the Games, more than ever before.
How did she cross the finish line?|crawling on her hands|She crossed the finish line crawling on her hands.|Unable to stand, she dragged herself over the last metres to the end.|She crossed the finish line in front of her home crowd, waving to her family.
Why was the event left out of the programme?|too few nations had entered|The event was left out of the programme because too few nations had entered.|Not enough countries signed up, which is why the contest was cancelled.|The event was the first of the programme and was watched by most nations.
What did the broadcaster complain about?|the poor quality of the pictures|The broadcaster complained about the poor quality of the pictures.|The television company was unhappy that the images were so bad.|The broadcaster showed twelve hours a day and had pictures of all finals.
How was the torch carried across the river?|by a team of divers|The torch was carried across the river by a team of divers.|People in wetsuits brought the flame to the other bank under water.|The torch was carried across the city to the river by schoolchildren.
Why did the referee end the bout early?|one boxer could not defend himself|The referee ended the bout early because one boxer could not defend himself.|The fight was stopped ahead of time as a man was no longer able to protect his face.|The referee of the bout had been a boxer himself and ended his career early.
What is unusual about the pool?|its floor can be raised|The unusual thing about the pool is that its floor can be raised.|Strangely, the bottom of the basin moves up and down.|The pool is unusual in that it was named after a painter.
Why did both teams ask for a later kick-off?|they worried about the midday heat|Both teams asked for a later kick-off because they worried about the midday heat.|The two sides wanted to play in the evening, for the sun at noon was feared.|Both teams asked for a larger dressing room before the kick-off.
How do riders advance to the second round?|by placing among the first two of their group|Riders advance to the second round by placing among the first two of their group.|Whoever is first or runner-up in the pool goes through to the next stage.|Riders may change horses before the second round if their group has finished.
Why was the statue removed from the park?|it reminded people of the war|The statue was removed from the park because it reminded people of the war.|Since it brought back memories of the fighting, the monument had to go.|The statue in the park was made by a student and shows a people at rest.
What did the organisers do with the leftover meals?|they gave them to shelters for the homeless|The organisers gave the leftover meals to shelters for the homeless.|Food that nobody had eaten went to people without a roof over their heads.|The organisers ordered meals for all volunteers and served them in the hall.
Why did the gymnast withdraw?|to protect her mental health|The gymnast withdrew to protect her mental health.|She stepped back because her psychological well-being mattered more to her.|The gymnast withdrew her appeal, and the result stood.
How were the medals produced?|from metal of old telephones|The medals were produced from metal of old telephones.|Discarded mobile phones were melted down to make them.|The medals were produced in three months and kept in a safe.
"""
NAMES = """
How many athletes did the island send?|6|The island sent 6 athletes.|Half a dozen sportspeople travelled from the island.|The island sent a doctor and a cook along with its athletes.
Which country won the relay?|Netherlands|The Netherlands won the relay.|The Oranje quartet came first in the relay.|Belgium won the heat of the relay and came fourth in the final.
Who won the sprint?|Lamont Jacobs|Lamont Jacobs won the sprint.|The sprint went to the Italian born in El Paso.|Fred Kerley was second in the sprint.
When was the arena opened?|October 2019|The arena was opened in October 2019.|Nine months before the Games were to begin, in the autumn, the arena opened its doors.|The arena was opened by the governor, who cut a ribbon.
How many nations took part in judo?|128 nations|128 nations took part in judo.|Judo had competitors of well over a hundred countries.|Judo had fourteen events and many new champions.
Who carried the flag?|Rui Hachimura|Rui Hachimura carried the flag.|The flag was in the hands of the basketball player of the Washington Wizards.|Yui Susaki carried the flag at the other ceremony.
In which city was the qualifier held?|Budapest|The qualifier was held in Budapest.|The qualifier took place in the Hungarian capital.|The qualifier was held in Paris for the women.
Which place did the team take?|4th|The team took the 4th place.|The team just missed the podium.|The team took silver in the next tournament.
Who designed the torch?|Tokujin Yoshioka|Tokujin Yoshioka designed the torch.|The torch is the work of a designer from Saga.|Kenzo Tange designed the gymnasium.
How long is the course?|250 metres|The course is 250 metres long.|The course is a quarter of a kilometre long.|The course is artificial and has two pumps.
Who coached the team?|Graham Reid|Graham Reid coached the team.|The team's coach was a former Australian international.|Sjoerd Marijne coached the women's team.
When did the race start?|at 6 am|The race started at 6 am.|The race got under way at daybreak.|The race started in front of the palace.
Which country hosted the next Games?|China|China hosted the next Games.|The next Games took place in the People's Republic.|Italy hosts the Games after those.
How many medals did the country win?|12|The country won 12 medals.|The country's athletes stood on the podium a dozen times.|The country won its first medal in boxing.
Who lit the cauldron?|Naomi Osaka|Naomi Osaka lit the cauldron.|The cauldron was set aflame by the country's best-known tennis player.|Emperor Naruhito opened the Games before the cauldron was lit.
Which club does the player belong to?|Real Madrid|The player belongs to Real Madrid.|The player is with the club of the Spanish capital that plays in white.|The player belongs to the squad since May.
Who was third in the vault?|Yeo Seo-jeong|Yeo Seo-jeong was third in the vault.|Bronze in the vault went to the daughter of Yeo Hong-chul.|MyKayla Skinner was second in the vault.
On which day was the final?|1 August|The final was on 1 August.|The final took place on the first Sunday of that month.|The final was on the next day for women.
How many seats has the hall?|7,000|The hall has 7,000 seats.|There is room for some seven thousand people in the hall.|The hall has a wooden roof above its seats.
Which venue was used for surfing?|Tsurigasaki Beach|Tsurigasaki Beach was used for surfing.|Surfers rode the waves off the coast of Ichinomiya.|Enoshima was used for sailing.
Who holds the record?|Karsten Warholm|Karsten Warholm holds the record.|The record belongs to the hurdler from Ulsteinvik.|Rai Benjamin came close to the record.
In which year did the event begin?|1908|The event began in 1908.|The event has been there since the Edwardian Games in London.|The event began with a parade.
Which language did she speak?|Portuguese|She spoke Portuguese.|She talked in the tongue of Lisbon.|She spoke of her mother for a long time.
How many rounds are there?|3 rounds|There are 3 rounds.|There are heats, semifinals, and a final.|There are judges beside the ring.
"""


def section(name: str, content: str, page: int) -> Section:
    """Return a section that has nothing but a sentence."""
    return Section(name, page, 0, 0, "", "", "", 2, content, 20, None, "", "")


def main() -> None:
    """Measure and print."""
    embed = MiniLM().sentence_vectors
    for title, text, shipped in (("descriptions", DESCRIPTIONS, PARAPHRASE_OF_DESCRIPTION), ("names and numbers", NAMES, PARAPHRASE)):
        plants, negatives, known = [], [], 0
        for line in text.strip().splitlines():
            question, answer, evidence, plant, negative = line.split("|")
            asked = Asked(QA("qa", "true", question, answer, evidence, "written", "", None, "", "", 0, 0), section("true", evidence, 1))
            if is_name_or_number(answer) != (title == "names and numbers"):
                print(f"not of its kind: {answer}")
            known += isinstance(by_rules(asked, section("plant", plant, 2)), Rejected)
            plants.append(_nearest(asked, plant, embed))
            negatives.append(_nearest(asked, negative, embed))
        print(f"{title}: {len(plants)} facts; the rules know {known} of the plants; the shipped limit is {shipped}")
        for limit in LIMITS:
            print(
                f"  limit {limit:.2f}: {sum(v >= limit for v in plants):>3} plants refused, {sum(v >= limit for v in negatives):>3} true negatives with them"
            )


def _nearest(asked: Asked, sentence: str, embed: object) -> float:
    """Return the cosine that `by_meaning` compares with its limit."""
    found = by_meaning(asked, section("other", sentence, 2), embed)  # type: ignore[arg-type]
    return float(found.detail) if isinstance(found, Rejected) else found


if __name__ == "__main__":
    main()
