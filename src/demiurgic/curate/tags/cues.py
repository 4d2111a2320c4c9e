"""Words and phrases that speak for a domain, written down by hand. Articles are left out of phrases."""

from collections.abc import Mapping
from functools import cache

DOMAINS = ("code", "reasoning", "mathematics", "science", "conversation", "creative", "tools")

_CUES: Mapping[str, str] = {
    # What code is made of, and what is asked for where code is meant.
    "code": """
        python, javascript, typescript, java, golang, rust, kotlin, scala, haskell, perl, php, ruby, matlab, sql,
        mysql, postgresql, mongodb, html, css, bash, json, xml, yaml, regex, django, flask, react, nodejs, jquery,
        numpy, pandas, tensorflow, pytorch, docker, kubernetes, github, linux, unix, algorithm, algorithms, code,
        codes, coding, script, scripts, snippet, program, programs, programming, compiler, compile, debug, debugging,
        bug, refactor, syntax, function, functions, method, methods, subroutine, parameter, parameters, argument,
        variable, variables, array, arrays, string, strings, integer, integers, boolean, loop, loops, iterate,
        recursion, recursive, pointer, iterator, tuple, dictionary, hashmap, stack, queue, linkedlist, node, nodes,
        runtime, callback, async, await, lambda, enum, struct, interface, inheritance, polymorphism, constructor,
        module, modules, package, library, framework, database, table, query, select, join, schema, backend, frontend,
        server, client, endpoint, webpage, website, div, href, def, elif, str, len, int, const, var, bool, println,
        printf, cout, stdin, stdout, std, namespace, stdio, iostream, vector, args, argv, println, foreach, endl,
        nullptr, nil, init, self, println, console log, write function, write program, write code, write script,
        write query, create function, create program, create script, create class, implement function,
        design algorithm, given array, given string, given list, following code, code snippet, sql query,
        sql statement, regular expression, data structure, source code, linked list, binary tree, binary search,
        command line, shell command, shell script, web page, object oriented, time complexity, return value,
        output code, edit code, fix code, optimize code
    """,
    # Sums told as stories, and the words of mathematics itself.
    "mathematics": """
        how many, how much, altogether, in all, in total, total, sum, sums, difference, remainder, remaining,
        quotient, product, twice, thrice, half, third, quarter, double, triple, dozen, percent, percentage, average,
        mean, median, ratio, proportion, fraction, fractions, decimal, equation, equations, solve, calculate, compute,
        evaluate, simplify, factor, multiply, multiplied, divide, divided, subtract, plus, minus, times, equals,
        equal, triangle, rectangle, square, circle, radius, diameter, perimeter, circumference, area, volume, angle,
        angles, degrees, hypotenuse, polygon, probability, permutations, combinations, algebra, geometry, calculus,
        trigonometry, derivative, integral, matrix, theorem, polynomial, quadratic, linear, logarithm, exponent,
        prime, divisible, divisor, multiple, consecutive, digit, digits, numerator, denominator, sine, cosine, profit,
        discount, interest, price, prices, cost, costs, dollars, dollar, cents, paid, spend, spent, earn, earns,
        earned, bought, buys, sold, sells, each, per, per hour, per day, per week, miles, kilometers, meters, feet,
        inches, pounds, ounces, gallons, liters, hours, minutes, weeks, left, more than, less than, fewer, as many,
        as much, twice as, end with, does have, did have, word problem, math problem, find value, find number,
        answer is
    """,
    # What is taught in lessons of physics, chemistry, biology, and of the earth and the sky.
    "science": """
        science, scientist, scientists, scientific, experiment, experiments, hypothesis, laboratory, observation,
        observe, investigate, investigation, physics, physicist, chemistry, chemist, biology, biologist, geology,
        geologist, astronomy, astronomer, ecology, energy, energies, kinetic, potential energy, thermal, heat, heated,
        heating, temperature, temperatures, celsius, fahrenheit, cold, cool, warm, freeze, freezes, freezing, frozen,
        melt, melts, melting, boil, boils, boiling, evaporate, evaporates, evaporation, condense, condensation,
        precipitation, rain, rainfall, snow, ice, glacier, glaciers, wind, winds, weather, climate, climates,
        hurricane, tornado, storm, storms, drought, flood, floods, cloud, clouds, atmosphere, ozone, oxygen, hydrogen,
        nitrogen, carbon, dioxide, helium, methane, gas, gases, liquid, liquids, solid, solids, matter, mass, density,
        weight, volume, force, forces, gravity, gravitational, friction, motion, speed, velocity, acceleration,
        momentum, inertia, pressure, magnet, magnets, magnetic, magnetism, electric, electrical, electricity, circuit,
        circuits, current, voltage, conductor, conductors, insulator, battery, wire, wires, copper, iron, metal,
        metals, aluminum, gold, silver, steel, atom, atoms, atomic, molecule, molecules, molecular, electron,
        electrons, proton, protons, neutron, neutrons, nucleus, ion, ions, element, elements, compound, compounds,
        mixture, mixtures, solution, solutions, solvent, solute, acid, acids, acidic, base, chemical, chemicals,
        chemically, reaction, reactions, reactant, catalyst, periodic table, combustion, oxidation, rust, cell, cells,
        membrane, chloroplast, chloroplasts, chlorophyll, mitochondria, ribosome, dna, rna, gene, genes, genetic,
        genetics, allele, alleles, chromosome, chromosomes, trait, traits, inherited, inherit, offspring, heredity,
        mutation, mutations, evolution, evolve, evolved, natural selection, adaptation, adaptations, adapt, adapted,
        species, extinct, extinction, fossil, fossils, dinosaur, dinosaurs, organism, organisms, bacteria, virus,
        viruses, microbe, microbes, fungi, fungus, algae, protist, plant, plants, seed, seeds, leaf, leaves, root,
        roots, stem, flower, flowers, pollen, pollinate, pollination, photosynthesis, respiration, tree, trees,
        forest, forests, grass, animal, animals, mammal, mammals, reptile, reptiles, amphibian, amphibians, bird,
        birds, fish, fishes, insect, insects, bee, bees, frog, frogs, snake, snakes, rabbit, rabbits, deer, wolf,
        wolves, fox, bear, bears, lion, whale, whales, shark, sharks, butterfly, caterpillar, worm, worms, predator,
        predators, prey, herbivore, herbivores, carnivore, carnivores, omnivore, consumer, consumers, producer,
        producers, decomposer, decomposers, food chain, food web, ecosystem, ecosystems, habitat, habitats, biome,
        population, populations, environment, environmental, pollution, pollutants, renewable, nonrenewable, resource,
        resources, fossil fuel, fossil fuels, coal, oil, petroleum, solar, wind power, soil, erosion, erode,
        weathering, sediment, sedimentary, igneous, metamorphic, rock, rocks, mineral, minerals, magma, lava, volcano,
        volcanoes, volcanic, earthquake, earthquakes, tectonic, plates, crust, mantle, mountain, mountains, canyon,
        valley, river, rivers, lake, lakes, ocean, oceans, sea, tide, tides, wave, waves, wavelength, frequency,
        light, lights, sunlight, sun, reflect, reflects, reflection, refraction, prism, lens, mirror, sound, sounds,
        vibration, vibrate, vibrations, echo, planet, planets, earth, moon, mars, venus, jupiter, saturn, mercury,
        star, stars, galaxy, galaxies, universe, orbit, orbits, orbiting, revolve, revolves, rotation, rotates, axis,
        eclipse, season, seasons, summer, winter, asteroid, comet, telescope, microscope, thermometer,
        graduated cylinder, beaker, balance, body, muscle, muscles, bone, bones, skeleton, blood, heart, lungs, lung,
        brain, nerve, nerves, nervous system, stomach, digestive, digestion, intestine, kidney, kidneys, liver, skin,
        tissue, tissues, organ, organs, hormone, immune, disease, diseases, infection, vaccine, nutrients, nutrient,
        protein, proteins, carbohydrates, vitamin, glucose, sugar, water, water cycle, groundwater, vapor, steam, air,
        fire, smoke, sand, dirt, desert, deserts, arctic, tropical, hibernate, hibernation, migrate, migration,
        camouflage, survive, survival, reproduce, reproduction, life cycle, lifespan, egg, eggs, larva, pupa, nest,
        fur, feathers, gills, scales, conserve, conservation, recycle, recycling, decay, decompose, absorb, absorbs,
        transfer, convert, converted, conduct, conducts, dissolve, dissolves, dissolved, measure, physical change,
        chemical change, physical property, properties, scientific method, creature, creatures, living thing,
        living things, material, materials, wood, grow, grows, growing, growth, ground, hot, hotter, colder, heats,
        food, foods, life, object, objects, surface, surfaces, daylight, night sky, moonlight, sky, dam, pole, pond,
        puddle, wet, dry, dries, cow, cows, cat, cats, dog, dogs, horse, horses, pig, hunt, hunter, hunting, eat,
        eats, eating, chew, digest, breathe, breathing, sick, illness, vehicle, engine, fuel, fuels, gasoline,
        electric car, mix, mixed, dissolving, melted, burn, burns, burning, warmth, cooler, layer, layers,
        fresh water, salt water, saltwater, salt, bulb, lamp, flashlight, shadow, shadows, north, south, equator,
        compass, cave, caves, cliff, landform, limestone, shell, shells, beak, hive, den, herd, cactus, fruit,
        vegetation, crop, crops, harvest, garden, farmer, farming
    """,
    # Puzzles, deduction and judgement, where what is asked for follows from what is told.
    "reasoning": """
        truth, lies, tells truth, deduce, deduction, deductively, infer, inference, logic, logical, logically, valid,
        invalid, premise, premises, argument, arguments, conclude, conclusion, implies, entailed, entail, entails,
        entailment, necessarily, sufficient, true false, true or, following statements, following statement,
        statement, statements, statement true, false, plausible, implausible, sarcastic, ambiguous, pronoun,
        antecedent, refer, refers, typical person, causation, cause, caused, intentionally, counterfactual, syllogism,
        paradox, puzzle, riddle, brain teaser, analogy, pattern, leftmost, rightmost, to left, to right, second from,
        third from, fixed order, arranged, finished above, finished below, oldest, newest, at start, at end, swap,
        swaps, swapped, trade, trades, switch, turn left, turn right, turn around, steps forward, starting point,
        facing, instructions do, always face, between what, what times, could have, at first, alphabetically,
        sort following, list words, closing, parentheses, sequence, complete rest, properly, adjective,
        adjective order, sentence has, correct adjective, svg path, path element, shape, draws, mm yyyy, date today,
        yesterday, tomorrow, days ago, weeks ago, month ago, year ago, similar, humorous, translation contains, color,
        object, objects, items, colors, not true, not false, or not, and not, not not, if then, more likely,
        most likely, premises valid, less plausible, step by, common sense, commonsense, options
    """,
    # People who talk: greetings, feelings, what one asks another.
    "conversation": """
        i, me, my, mine, myself, we, us, our, you, your, yours, yourself, hi, hello, hey, thanks, thank, sorry,
        please, okay, ok, yeah, yes, sure, wow, lol, well, i am, i want, i need, i feel, i think, i know, i like,
        i love, i hate, i just, i really, i guess, i was, i have, what do, do you, can you, could you, would you,
        are you, have you, tell me, help me, let me, you think, you know, you want, you should, my friend, my friends,
        my wife, my husband, my boss, my boyfriend, my girlfriend, my mom, my dad, my kids, my neighbor, people,
        person, guy, guys, really, feel, feeling, feelings, understand, glad, happy, sad, angry, upset, worried,
        afraid, love, hate, friend, friends, advice, chat, talk, talking
    """,
    # Made-up people, scenes and verse.
    "creative": """
        pretend, imagine, roleplay, role play, role playing, impersonate, act as, act like, acting as, persona,
        in character, character, characters, protagonist, antagonist, hero, heroine, villain, story, stories, tale,
        tales, fairy tale, short story, write story, write poem, compose poem, compose, poem, poems, poetry, poet,
        haiku, sonnet, limerick, rhyme, rhymes, verse, verses, lyrics, song, ballad, novel, novelist, fiction,
        fictional, fantasy, plot, plot twist, scene, scenes, setting, dialogue, monologue, screenplay, script for,
        narrator, narrative, narrate, storyteller, playwright, metaphor, simile, satire, parody, joke, jokes, slogan,
        tagline, creative, creatively, imaginative, whimsical, wizard, witch, dragon, knight, kingdom, castle,
        princess, prince, king, queen, pirate, pirates, detective, spy, superhero, alien, aliens, ghost, vampire,
        zombie, elf, elves, dwarf, sorcerer, magic, magical, enchanted, spell, quest, adventurer, adventure, realm,
        medieval, ancient, futuristic, dystopian, time traveler, spaceship, starship, galactic, shakespeare,
        shakespearean, sherlock, holmes, once upon, you re, as famous, describe feelings, diary, journal entry,
        letter from, perspective of, point view, in style, in voice, speech, deliver speech, interview, interviewing,
        world renowned, famous, renowned, legendary, brave, mysterious, chef, explorer, historian, astronaut, bard,
        mayor, captain, queen of, king of
    """,
    # Programs that answer programs.
    "tools": """
        toolformer, tool, tools, api, apis, plugin, plugins, function call, function calls, function calling,
        tool call, tool calls, tool use, search engine, search query, wikipedia, calculator, calendar, translator,
        wolfram, access, enabled, disabled, invoke, natural language, input should, should be, useful for, use this,
        web search, current events, retrieve, lookup, webhook, arguments, json schema, available tools,
        available functions, tool access, toolformer access, toolformer enabled
    """,
}


_TELLING: Mapping[str, str] = {
    # What hardly stands in a text of another domain: any of these counts more than several of the above.
    "code": """
        python function, javascript function, java program, python program, python script, python code, sql query,
        c program, html code, css code, write function, write program, write code, write script, write query,
        code snippet, following code, given code, source code, shell script, bash script, regular expression,
        create function, create class, public class, public static, select from
    """,
    "mathematics": """
        how many, how much, word problem, math problem, find value, solve for, solve equation, square root,
        prime numbers, find sum, find product
    """,
    "science": """
        photosynthesis, food chain, food web, scientific method, natural selection, chemical reaction, periodic table,
        correct answer, scientists, solar system, water cycle, physical change, chemical change, kinetic energy
    """,
    "conversation": """
        hello, hi there, thank you, thanks, how are, what should, my friend, my husband, my wife, my boss
    """,
    "creative": """
        you are, you re, you ve, imagine, pretend, roleplay, role play, act as, acting as, assume role, take role,
        role of, voice of, in character, as if, persona of, perspective of, write story, write poem, short story,
        fairy tale, haiku, poem, write song, once upon, compose poem, fictional, fantasy, superhero, supervillain,
        wizard, dragon, pirate, detective, time traveler, time traveling, medieval, mythical, mythological, galactic,
        alien, space explorer, knight, monologue, protagonist, storyteller, post apocalyptic, sci fi, steampunk,
        robot, dialogue, conversation between
    """,
    "tools": """
        toolformer, toolformer access, tool calls, function calls, available tools, available functions,
        search engine, api
    """,
    "reasoning": """
        typical person, about causation, deductively valid, deductively, fixed order, tells truth, tell truth,
        is sarcastic, closing parentheses, svg path, following words, sort following, return to, to starting,
        implies that, sufficient condition, necessary condition, movie similar, humorous edit, adjective order,
        correct adjective, pronoun, antecedent, plausible, following paragraphs, logically consistent, between what,
        swap, swaps, true or, not true, not false, could have, lies, true false, with true, syllogism, riddle,
        brain teaser, logic puzzle, premises, invalid
    """,
}
"""These name a domain outright."""


def _entries(text: str) -> list[str]:
    return [" ".join(entry.split()) for entry in text.split(",") if entry.strip()]


def telling(domain: str) -> str:
    """The class of what names a domain outright."""
    return f"{domain}, outright"


@cache
def cues_of(domain: str) -> tuple[str, ...]:
    """Words and phrases that speak for a domain."""
    return tuple(_entries(_CUES[domain]))


@cache
def telling_of(domain: str) -> tuple[str, ...]:
    """Words and phrases that name a domain outright."""
    return tuple(_entries(_TELLING[domain]))
