/** What a program of the bench is asked, and what it answers; both are told over Node's channel to a child process. */
export type Questions<All> = {
  readonly [What in keyof All]: { readonly ask: unknown; readonly answer: unknown };
};

interface Asked {
  readonly id: number;
  readonly what: string;
  readonly ask: unknown;
}

/** How each question is answered. */
export type Answers<All extends Questions<All>> = {
  readonly [What in keyof All]: (ask: All[What]['ask']) => Promise<All[What]['answer']>;
};

/** Answers all questions of the process that began this one, until it is killed or its parent is gone. */
export function answerParent<All extends Questions<All>>(answers: Answers<All>): void {
  process.on('message', ({ id, what, ask }: Asked) => {
    const answer = (answers as Readonly<Record<string, (told: unknown) => Promise<unknown>>>)[what];
    if (answer === undefined) throw new Error(`nobody here knows of ${what}`);
    answer(ask).then(
      (told) => process.send?.({ id, told }),
      (error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
